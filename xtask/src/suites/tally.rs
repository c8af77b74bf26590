//! Counting what test runners report. Reads the lines that `cargo test` (and libtest-mimic, which prints the same)
//! ends each test program with, and the lines by which a suite says that it left something out.

/// What one suite, or all of them, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    /// Lines that begin with `LEFT OUT:`, without that beginning.
    pub left_out: Vec<String>,
}

impl Tally {
    /// Takes one line of a suite's output into account.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.ignored += number_before(result, " ignored");
        } else if let Some(what) = line.strip_prefix("LEFT OUT: ") {
            self.left_out.push(what.to_owned());
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.left_out.extend(other.left_out.iter().cloned());
    }

    /// The number of tests that were run.
    pub(crate) fn run(&self) -> u64 {
        self.passed + self.failed
    }

    /// The line that closes a run: alone on its line, understood by people and by CI.
    pub(crate) fn closing_line(&self) -> String {
        let counted = format!("{} passed, {} failed", self.passed, self.failed);
        if self.ignored == 0 {
            counted
        } else {
            format!("{counted}, {} skipped", self.ignored)
        }
    }
}

/// The number in front of `word`; 0 when the line has another form.
fn number_before(line: &str, word: &str) -> u64 {
    let Some((before, _)) = line.split_once(word) else {
        return 0;
    };
    let digits = before.rsplit(' ').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        tally
    }

    #[test]
    fn sums_all_programs_of_a_suite() {
        let tally = tally(&[
            "test a ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ]);
        assert_eq!((tally.passed, tally.failed, tally.ignored), (17, 2, 1));
        assert_eq!(tally.closing_line(), "17 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_suite_without_a_result_ran_nothing() {
        let tally = tally(&["error: could not compile", "12 passed; 0 failed"]);
        assert_eq!(tally.run(), 0);
        assert_eq!(tally.closing_line(), "0 passed, 0 failed");
    }

    #[test]
    fn what_a_suite_left_out_is_kept() {
        let tally = tally(&["LEFT OUT: 30 scenarios of mosquitto: not installed"]);
        assert_eq!(tally.left_out, ["30 scenarios of mosquitto: not installed"]);
    }
}
