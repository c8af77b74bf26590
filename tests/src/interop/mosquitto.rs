//! mosquitto_pub and mosquitto_sub behind the door of a client: a process per connection, told by its command line
//! and read by its output.

use std::collections::VecDeque;
use std::io::{BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::client::{
    Client, Connected, Event, Filter, Message, Options, PATIENCE, Properties, from_hex,
};
use crate::raw::{Failure, Outcome};

/// Marks a line as a message among those of debugging.
const MESSAGE: char = '\u{1e}';
/// Between the fields of a message.
const FIELD: char = '\u{1f}';
/// The fields of a message, as mosquitto_sub names them. A user property comes as `name:value`, one after another
/// with a space between, so the scenarios' have neither in them.
const FIELDS: [&str; 11] = [
    "%t", "%q", "%r", "%x", "%C", "%D", "%E", "%F", "%P", "%R", "%S",
];

/// A pair of mosquitto_sub, which runs while there is a subscription, and mosquitto_pub, once per message.
#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    options: Option<Options>,
    filters: Vec<Filter>,
    identifier: Option<u32>,
    running: Option<Running>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    lines: Receiver<Line>,
}

#[derive(Debug)]
enum Line {
    Message(Message),
    Subscribed(Vec<u8>),
    Unsubscribed,
    Odd(String),
}

impl Mosquitto {
    /// A client that isn't connected yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let (filters, events) = (Vec::new(), VecDeque::new());
        Self {
            address,
            options: None,
            filters,
            identifier: None,
            running: None,
            events,
        }
    }

    fn options(&self) -> Outcome<&Options> {
        self.options
            .as_ref()
            .ok_or_else(|| Failure::new("not connected"))
    }

    /// Starts mosquitto_sub with the filters, and `without` to be given up, and waits until both are in force.
    fn start(&mut self, without: &[String]) -> Outcome<Vec<u8>> {
        let mut command = self.subscriber(without)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let Some(output) = child.stdout.take() else {
            return Err(Failure::new("mosquitto_sub has no standard output"));
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || read(BufReader::new(output), &sender));
        self.running = Some(Running { child, lines });
        let (mut granted, mut unsubscribed) = (None, without.is_empty());
        while granted.is_none() || !unsubscribed {
            match self.line(PATIENCE)? {
                Some(Line::Subscribed(codes)) => granted = Some(codes),
                Some(Line::Unsubscribed) => unsubscribed = true,
                Some(Line::Message(message)) => self.events.push_back(Event::Message(message)),
                Some(Line::Odd(line)) => {
                    return Err(Failure::new(format!("mosquitto_sub: {line}")));
                }
                None => return Err(Failure::new("mosquitto_sub isn't subscribed")),
            }
        }
        Ok(granted.unwrap_or_default())
    }

    fn subscriber(&self, without: &[String]) -> Outcome<Command> {
        let options = self.options()?;
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub"]);
        place(&mut command, self.address, options.version);
        command.args([
            "-i",
            &options.client_id,
            "-k",
            &options.keep_alive_s.to_string(),
            "-d",
            "-N",
        ]);
        let separator = FIELD.to_string();
        command.args(["-F", &format!("{MESSAGE}{}\n", FIELDS.join(&separator))]);
        if !options.clean_start {
            command.arg("-c");
        }
        if options.version == 5 {
            // Without it, -c would mean a session that never ends.
            command.args(["-x", &options.session_expiry_s.unwrap_or(0).to_string()]);
            if let Some(maximum) = options.receive_maximum {
                command.args(["-D", "connect", "receive-maximum", &maximum.to_string()]);
            }
            if let Some(identifier) = self.identifier {
                command.args([
                    "-D",
                    "subscribe",
                    "subscription-identifier",
                    &identifier.to_string(),
                ]);
            }
        }
        if let Some(will) = &options.will {
            let message = &will.message;
            command.args([
                "--will-topic",
                &message.topic,
                "--will-payload",
                &message.text(),
            ]);
            command.args(["--will-qos", &message.qos.to_string()]);
            if message.retain {
                command.arg("--will-retain");
            }
            if options.version == 5 && will.delay_s != 0 {
                command.args([
                    "-D",
                    "will",
                    "will-delay-interval",
                    &will.delay_s.to_string(),
                ]);
            }
            properties(&mut command, "will", &message.properties);
        }
        for filter in &self.filters {
            command.args(["-q", &filter.qos.to_string(), "-t", &filter.filter]);
            if filter.retain_as_published {
                command.arg("--retain-as-published");
            }
        }
        for filter in without {
            command.args(["-U", filter]);
        }
        Ok(command)
    }

    fn line(&self, within: Duration) -> Outcome<Option<Line>> {
        let Some(running) = &self.running else {
            return Ok(None);
        };
        match running.lines.recv_timeout(within) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::new("mosquitto_sub has ended")),
        }
    }

    /// Keeps what had come before the end.
    fn ended(&mut self) -> Outcome {
        loop {
            match self.line(PATIENCE) {
                Ok(Some(Line::Message(message))) => self.events.push_back(Event::Message(message)),
                Ok(Some(_)) => {}
                Ok(None) => return Err(Failure::new("mosquitto_sub doesn't end")),
                Err(_) => break,
            }
        }
        if let Some(mut running) = self.running.take() {
            running.child.wait()?;
        }
        Ok(())
    }

    fn publish_lines(&self, options: &Options, messages: &[Message]) -> Outcome {
        let Some(first) = messages.first() else {
            return Ok(());
        };
        let mut command = Command::new("mosquitto_pub");
        place(&mut command, self.address, options.version);
        command.args([
            "-i",
            &format!("{}-pub", options.client_id),
            "-t",
            &first.topic,
            "-q",
            &first.qos.to_string(),
        ]);
        if first.retain {
            command.arg("-r");
        }
        if options.version == 5 {
            properties(&mut command, "publish", &first.properties);
        }
        let input = match messages {
            [message] if message.payload.is_empty() => {
                command.arg("-n");
                Vec::new()
            }
            [message] => {
                command.arg("-s");
                message.payload.clone()
            }
            many => {
                command.arg("-l");
                many.iter()
                    .flat_map(|message| [message.payload.as_slice(), b"\n"].concat())
                    .collect()
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&input)?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Failure::new(format!("mosquitto_pub: {status}"))),
                None if Instant::now() > deadline => {
                    child.kill()?;
                    child.wait()?;
                    return Err(Failure::new("mosquitto_pub doesn't end"));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Client for Mosquitto {
    fn connect(&mut self, options: &Options) -> Outcome<Connected> {
        if options.clean_start {
            self.filters.clear();
        }
        self.options = Some(options.clone());
        self.resume()
    }

    /// mosquitto_sub must name its filters each time; with none it can't connect, and does so when it gets some.
    fn resume(&mut self) -> Outcome<Connected> {
        if !self.filters.is_empty() {
            self.start(&[])?;
        }
        Ok(Connected::default())
    }

    fn subscribe(&mut self, filters: &[Filter], identifier: Option<u32>) -> Outcome<Vec<u8>> {
        if self.running.is_some() {
            return Err(Failure::new("mosquitto_sub subscribes once"));
        }
        self.filters = filters.to_vec();
        self.identifier = identifier;
        self.start(&[])
    }

    fn unsubscribe(&mut self, filters: &[String]) -> Outcome {
        self.disconnect()?;
        self.filters
            .retain(|filter| !filters.contains(&filter.filter));
        self.start(filters).map(drop)
    }

    fn publish(&mut self, messages: &[Message]) -> Outcome {
        let options = self.options()?;
        let batches = messages.chunk_by(|one, next| {
            let lines = [one, next]
                .iter()
                .all(|message| !message.payload.is_empty() && !message.payload.contains(&b'\n'));
            lines
                && (&one.topic, one.qos, one.retain, &one.properties)
                    == (&next.topic, next.qos, next.retain, &next.properties)
        });
        for batch in batches {
            self.publish_lines(options, batch)?;
        }
        Ok(())
    }

    fn next(&mut self, within: Duration) -> Outcome<Option<Event>> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        match self.line(within)? {
            Some(Line::Message(message)) => Ok(Some(Event::Message(message))),
            Some(Line::Subscribed(_)) => Err(Failure::new("mosquitto_sub had to connect again")),
            Some(line) => Err(Failure::new(format!("mosquitto_sub: {line:?}"))),
            None => Ok(None),
        }
    }

    fn disconnect(&mut self) -> Outcome {
        if let Some(running) = &self.running {
            // std has no signals. mosquitto_sub answers this one with DISCONNECT.
            Command::new("kill")
                .args(["-TERM", &running.child.id().to_string()])
                .status()?;
            self.ended()?;
        }
        Ok(())
    }

    fn cut(&mut self) -> Outcome {
        if let Some(running) = &mut self.running {
            running.child.kill()?;
            self.ended()?;
        }
        Ok(())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // It may have ended by itself.
            drop(running.child.kill());
            drop(running.child.wait());
        }
    }
}

fn place(command: &mut Command, address: SocketAddr, version: u8) {
    command.args(["-h", &address.ip().to_string()]);
    command.args(["-p", &address.port().to_string()]);
    let version = match version {
        3 => "mqttv31",
        5 => "mqttv5",
        _ => "mqttv311",
    };
    command.args(["-V", version]);
}

fn properties(command: &mut Command, packet: &str, properties: &Properties) {
    let mut add = |values: &[&str]| {
        command.args(["-D", packet]).args(values);
    };
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let correlation_data = properties
        .correlation_data
        .as_deref()
        .map(String::from_utf8_lossy);
    for (name, value) in [
        (
            "payload-format-indicator",
            number(properties.payload_format.map(u32::from)).as_deref(),
        ),
        (
            "message-expiry-interval",
            number(properties.expiry).as_deref(),
        ),
        ("content-type", properties.content_type.as_deref()),
        ("response-topic", properties.response_topic.as_deref()),
        ("correlation-data", correlation_data.as_deref()),
    ] {
        if let Some(value) = value {
            add(&[name, value]);
        }
    }
    for (name, value) in &properties.user {
        add(&["user-property", name, value]);
    }
}

/// Understands what mosquitto_sub says until it ends.
fn read(output: impl std::io::BufRead, lines: &Sender<Line>) {
    for line in output.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let understood = if let Some(fields) = line.strip_prefix(MESSAGE) {
            message(fields).map_or_else(|| Line::Odd(line.to_string()), Line::Message)
        } else if let Some((_, codes)) = line
            .strip_prefix("Subscribed (mid: ")
            .and_then(|rest| rest.split_once("): "))
        {
            match codes.split(", ").map(str::parse).collect() {
                Ok(codes) => Line::Subscribed(codes),
                Err(_) => Line::Odd(line.to_string()),
            }
        } else if line.ends_with(" received UNSUBACK") {
            Line::Unsubscribed
        } else if line.starts_with("Client ") || line.is_empty() {
            continue;
        } else {
            Line::Odd(line.to_string())
        };
        if lines.send(understood).is_err() {
            return;
        }
    }
}

fn message(fields: &str) -> Option<Message> {
    let mut fields = fields.split(FIELD);
    let mut text = || fields.next().map(str::to_owned);
    let given = |value: String| Some(value).filter(|value| !value.is_empty());
    let number = |value: String| {
        if value.is_empty() {
            Some(None)
        } else {
            value.parse().ok().map(Some)
        }
    };
    let mut message = Message::new(text()?, [], text()?.parse().ok()?);
    message.retain = text()? == "1";
    message.payload = from_hex(&text()?)?;
    let seen = &mut message.properties;
    seen.content_type = given(text()?);
    seen.correlation_data = given(text()?).map(String::into_bytes);
    seen.expiry = number(text()?)?;
    seen.payload_format = number(text()?)?.and_then(|value| u8::try_from(value).ok());
    let pairs = text()?;
    seen.user = pairs
        .split(' ')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once(':')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect::<Option<_>>()?;
    seen.response_topic = given(text()?);
    seen.subscription_identifiers = number(text()?)?.into_iter().collect();
    Some(message)
}
