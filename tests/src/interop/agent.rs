//! Clients in other languages: a small program of tests/interop drives the library, one JSON value a line.
//!
//! A command is `{"client": N, "do": ACTION, ...}` and is answered, before the next is read, by `{"done": VALUE}` or
//! `{"error": TEXT}`. In between and at any time come `{"client": N, "message": {...}}` and
//! `{"client": N, "closed": {"reason": CODE or null}}`. One program serves one scenario at a time, and many in turn.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Connected, Event, Filter, Message, Options, PATIENCE};
use super::software::Installed;
use crate::raw::{Failure, Outcome};

/// How much longer than the agent we wait, so that it can say itself what is missing.
const SLACK: Duration = Duration::from_secs(5);

/// Agents of one kind that have nothing to do.
#[derive(Debug, Default)]
pub struct Idle(Mutex<Vec<Agent>>);

impl Idle {
    /// An agent for one scenario: one that is there, else a new one.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn lease(&self, installed: &Installed, address: SocketAddr) -> Outcome<Arc<Mutex<Agent>>> {
        let idle = lock(&self.0).pop();
        let agent = match idle {
            Some(agent) => agent,
            None => Agent::start(installed, address)?,
        };
        Ok(Arc::new(Mutex::new(agent)))
    }

    /// Takes an agent back when its scenario went well and all its clients are gone. Otherwise it ends: what state it
    /// is in nobody knows.
    pub fn give_back(&self, agent: Arc<Mutex<Agent>>, well: bool) {
        if let Some(agent) = Arc::into_inner(agent).filter(|_| well) {
            lock(&self.0).push(agent.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Result<Value, String>>,
    inboxes: Inboxes,
    next_client: u64,
}

type Inboxes = Arc<Mutex<HashMap<u64, Sender<Event>>>>;

impl Agent {
    fn start(installed: &Installed, address: SocketAddr) -> Outcome<Self> {
        let mut child = Command::new(&installed.program)
            .args(&installed.script)
            .args([address.ip().to_string(), address.port().to_string()])
            .args(&installed.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("the agent has no pipes"));
        };
        let inboxes = Inboxes::default();
        let (sender, answers) = channel();
        let routes = Arc::clone(&inboxes);
        std::thread::spawn(move || read(output, &sender, &routes));
        Ok(Self {
            child,
            commands,
            answers,
            inboxes,
            next_client: 1,
        })
    }

    fn ask(&mut self, command: &Value) -> Outcome<Value> {
        writeln!(self.commands, "{command}")?;
        match self.answers.recv_timeout(PATIENCE + SLACK) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::new(error)),
            Err(RecvTimeoutError::Timeout) => Err(Failure::new("the agent doesn't answer")),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::new("the agent has ended")),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Its process may have ended by itself; then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Routes what the agent says until it ends. A line that isn't understood is an answer that nobody can mistake.
fn read(output: ChildStdout, answers: &Sender<Result<Value, String>>, inboxes: &Inboxes) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let answer = match serde_json::from_str(&line) {
            Ok(Line::Done { done }) => Ok(done),
            Ok(Line::Error { error }) => Err(error),
            Ok(Line::Message { client, message }) => {
                deliver(inboxes, client, Event::Message(message));
                continue;
            }
            Ok(Line::Closed { client, closed }) => {
                deliver(inboxes, client, Event::Closed(closed.reason));
                continue;
            }
            Err(error) => Err(format!("the agent said something else ({error}): {line}")),
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

fn deliver(inboxes: &Inboxes, client: u64, event: Event) {
    let mut inboxes = lock(inboxes);
    if inboxes
        .get(&client)
        .is_some_and(|inbox| inbox.send(event).is_err())
    {
        // The scenario is done with this client.
        inboxes.remove(&client);
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Message { client: u64, message: Message },
    Closed { client: u64, closed: Closed },
    Error { error: String },
    Done { done: Value },
}

#[derive(Debug, Deserialize)]
struct Closed {
    reason: Option<u8>,
}

/// A client that an agent drives.
#[derive(Debug)]
pub struct AgentClient {
    agent: Arc<Mutex<Agent>>,
    number: u64,
    events: Receiver<Event>,
    unread: VecDeque<Event>,
}

impl AgentClient {
    /// A client that isn't connected yet.
    #[must_use]
    pub fn new(agent: &Arc<Mutex<Agent>>) -> Self {
        let (sender, events) = channel();
        let mut locked = lock(agent);
        let number = locked.next_client;
        locked.next_client += 1;
        lock(&locked.inboxes).insert(number, sender);
        drop(locked);
        Self {
            agent: Arc::clone(agent),
            number,
            events,
            unread: VecDeque::new(),
        }
    }

    fn ask(&self, action: &str, mut command: Value) -> Outcome<Value> {
        if let Some(fields) = command.as_object_mut() {
            fields.insert("client".into(), self.number.into());
            fields.insert("do".into(), action.into());
        }
        lock(&self.agent).ask(&command)
    }

    fn connected(answer: Value) -> Outcome<Connected> {
        serde_json::from_value(answer).map_err(|error| Failure::new(error.to_string()))
    }

    /// Forgets the one event that says what the scenario itself has done: it came before the answer. What the broker
    /// had sent until then is kept.
    fn closed(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            if matches!(event, Event::Closed(_)) {
                return;
            }
            self.unread.push_back(event);
        }
    }
}

impl Client for AgentClient {
    fn connect(&mut self, options: &Options) -> Outcome<Connected> {
        Self::connected(self.ask("connect", json!({ "options": options }))?)
    }

    fn resume(&mut self) -> Outcome<Connected> {
        Self::connected(self.ask("resume", json!({}))?)
    }

    fn subscribe(&mut self, filters: &[Filter], identifier: Option<u32>) -> Outcome<Vec<u8>> {
        let answer = self.ask(
            "subscribe",
            json!({ "filters": filters, "identifier": identifier }),
        )?;
        serde_json::from_value(answer).map_err(|error| Failure::new(error.to_string()))
    }

    fn unsubscribe(&mut self, filters: &[String]) -> Outcome {
        self.ask("unsubscribe", json!({ "filters": filters }))
            .map(drop)
    }

    fn publish(&mut self, messages: &[Message]) -> Outcome {
        self.ask("publish", json!({ "messages": messages }))
            .map(drop)
    }

    fn next(&mut self, within: Duration) -> Outcome<Option<Event>> {
        if let Some(event) = self.unread.pop_front() {
            return Ok(Some(event));
        }
        match self.events.recv_timeout(within) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::new("the agent has ended")),
        }
    }

    fn disconnect(&mut self) -> Outcome {
        self.ask("disconnect", json!({}))?;
        self.closed();
        Ok(())
    }

    fn cut(&mut self) -> Outcome {
        self.ask("cut", json!({}))?;
        self.closed();
        Ok(())
    }
}

impl Drop for AgentClient {
    fn drop(&mut self) {
        // An agent that fails here answers the same to the next scenario, which then reports it.
        drop(self.ask("drop", json!({})));
        lock(&lock(&self.agent).inboxes).remove(&self.number);
    }
}

/// A poisoned lock says that another scenario has panicked; the values behind these locks stay whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
