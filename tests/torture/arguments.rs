//! Reads the command line: that of the standard test harness as far as it selects tests, and some options of our own.

/// The options of a command line.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Arguments {
    pub(crate) long: bool,
    pub(crate) seed: Option<u64>,
    /// The store of the only round to play.
    pub(crate) s3: Option<String>,
    /// The virtual environment where that store is installed.
    pub(crate) venv: Option<String>,
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
}

/// The action for the only test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Run,
    Nothing,
    List,
    ListNothing,
}

/// Options of the standard harness that take a value and have no effect here.
const WITH_VALUE: [&str; 5] = [
    "--test-threads",
    "--logfile",
    "--color",
    "--format",
    "--shuffle-seed",
];

impl Arguments {
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut read = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let (name, given) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            match name {
                "--long" => read.long = true,
                "--seed" => {
                    let value = given.or_else(|| arguments.next()).unwrap_or_default();
                    read.seed = Some(value.parse().expect("--seed needs a whole number"));
                }
                "--s3" => read.s3 = given.or_else(|| arguments.next()),
                "--venv" => read.venv = given.or_else(|| arguments.next()),
                "--skip" => read.skip.extend(given.or_else(|| arguments.next())),
                "--exact" => read.exact = true,
                "--list" => read.list = true,
                // The test is not ignored, so that `--ignored` selects nothing.
                "--ignored" => read.ignored = true,
                "-Z" => drop(arguments.next()),
                name if WITH_VALUE.contains(&name) && given.is_none() => drop(arguments.next()),
                name if name.starts_with('-') => {}
                _ => read.filters.push(argument),
            }
        }
        read
    }

    /// Returns what to do with the test `name`.
    pub(crate) fn action(&self, name: &str) -> Action {
        let matches = |pattern: &String| {
            if self.exact {
                pattern == name
            } else {
                name.contains(pattern.as_str())
            }
        };
        let is_selected = (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
            && !self.ignored;
        match (is_selected, self.list) {
            (true, false) => Action::Run,
            (false, false) => Action::Nothing,
            (true, true) => Action::List,
            (false, true) => Action::ListNothing,
        }
    }
}
