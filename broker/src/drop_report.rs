//! Says in the log which messages were dropped and why: one line a reason and minute, however many
//! there were.

use std::time::Duration;

use dunlin_engine::drops::{DropReason, Drops};

const INTERVAL: Duration = Duration::from_secs(60);

/// Logs what was dropped since the last time, for ever. Cancel-safe.
pub async fn run(drops: &Drops) {
    let mut reported = Reported::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        reported.log(drops);
    }
}

/// What the log knows.
#[derive(Debug, Default)]
pub struct Reported {
    counts: Vec<u64>,
}

impl Reported {
    /// Logs what was dropped since the last call.
    pub fn log(&mut self, drops: &Drops) {
        for (reason, count) in self.fresh(drops) {
            let sample = drops
                .samples()
                .into_iter()
                .rev()
                .find(|sample| sample.reason == reason);
            let client_id = sample.as_ref().map(|sample| sample.client_id.to_string());
            let topic = sample.as_ref().map(|sample| sample.topic.to_string());
            tracing::warn!(
                reason = reason.label(),
                count,
                client_id,
                topic,
                "messages dropped; the last one shown"
            );
        }
    }

    fn fresh(&mut self, drops: &Drops) -> Vec<(DropReason, u64)> {
        self.counts.resize(DropReason::ALL.len(), 0);
        let mut fresh = Vec::new();
        for (reason, known) in DropReason::ALL.iter().zip(&mut self.counts) {
            let count = drops.count(*reason);
            if count > *known {
                fresh.push((*reason, count - *known));
            }
            *known = count;
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_engine::message::ClientId;
    use dunlin_engine::time::Now;

    #[test]
    fn each_reason_is_reported_once_with_its_count() {
        let drops = Drops::new(4);
        let mut reported = Reported::default();
        assert_eq!(reported.fresh(&drops), []);
        for _ in 0..3 {
            drops.record(
                Now::default(),
                DropReason::QueueFull,
                &ClientId::new("lamp"),
                "a/b",
            );
        }
        drops.record(
            Now::default(),
            DropReason::Expired,
            &ClientId::new("lamp"),
            "a/b",
        );
        let expected = [(DropReason::Expired, 1), (DropReason::QueueFull, 3)];
        assert_eq!(reported.fresh(&drops), expected);
        assert_eq!(reported.fresh(&drops), []);
    }
}
