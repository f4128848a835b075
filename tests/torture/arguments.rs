//! The command line: that of the standard test harness as far as it picks tests, and two options of our own.

/// What was asked for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Arguments {
    pub(crate) long: bool,
    pub(crate) seed: Option<u64>,
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
}

/// What that means for the one test there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Run,
    Nothing,
    List,
    ListNothing,
}

/// Options of the standard harness that are followed by a value and mean nothing here.
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
                "--skip" => read.skip.extend(given.or_else(|| arguments.next())),
                "--exact" => read.exact = true,
                "--list" => read.list = true,
                // No test here is ignored, so that is to run none.
                "--ignored" => read.ignored = true,
                "-Z" => drop(arguments.next()),
                name if WITH_VALUE.contains(&name) && given.is_none() => drop(arguments.next()),
                name if name.starts_with('-') => {}
                _ => read.filters.push(argument),
            }
        }
        read
    }

    /// Whether the test `name` is meant.
    pub(crate) fn asked(&self, name: &str) -> Asked {
        let hit = |pattern: &String| {
            if self.exact {
                pattern == name
            } else {
                name.contains(pattern.as_str())
            }
        };
        let meant = (self.filters.is_empty() || self.filters.iter().any(hit))
            && !self.skip.iter().any(hit)
            && !self.ignored;
        match (meant, self.list) {
            (true, false) => Asked::Run,
            (false, false) => Asked::Nothing,
            (true, true) => Asked::List,
            (false, true) => Asked::ListNothing,
        }
    }
}
