//! The options as text, so that a plan can keep them and a run can take them from it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

use super::program::{self, Cli};
use super::run::RunArgs;
use super::single::hide_identifiers;

/// An option as it stands, given or by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its long name, without the dashes.
    pub name: String,
    /// Its value, if it takes one.
    pub value: Option<String>,
    /// It was given, and is no default.
    pub given: bool,
}

impl Argument {
    /// Returns the argument as it stands on a command line.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

impl Cli {
    /// Parses the command line of this process, and returns the options of its command as text as well. Ends the program as `parse`
    /// does.
    #[must_use]
    pub fn parse_with_options() -> (Self, Vec<Argument>) {
        let mut definitions = Self::command();
        let words: Vec<OsString> = std::env::args_os().collect();
        let parsed = definitions.try_get_matches_from_mut(&words);
        let matches = parsed.unwrap_or_else(|mut error| {
            name_the_command(&mut error);
            hide_identifiers(&mut error, &words);
            error.exit()
        });
        let parsed = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        (parsed, of(&definitions, &matches))
    }

    /// The arguments of `run`, from the options of a command line without its first word.
    ///
    /// # Errors
    /// They are not options of `run`, or contradict each other.
    pub fn run_again(
        options: impl IntoIterator<Item = String>,
        inputs: impl IntoIterator<Item = OsString>,
    ) -> Result<RunArgs, clap::Error> {
        let words = ["cognito-unlink", "run"].map(Into::into).into_iter();
        let options = options.into_iter().map(Into::into);
        let behind = std::iter::once("--".into()).chain(inputs);
        match Self::try_parse_from(words.chain(options).chain(behind))?.command {
            program::Command::Run(run) => Ok(*run),
            _ => unreachable!("the first word says run"),
        }
    }
}

/// Names the command that was meant where a file stands in its place.
fn name_the_command(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    if is_input(word) {
        let meant = format!("did you mean 'cognito-unlink run {word}'?");
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![meant.into()]),
        );
    }
}

/// Returns whether a word names an input: no command has a dot or a slash in its name.
fn is_input(word: &str) -> bool {
    word == "-" || word.contains(['.', '/'])
}

/// The options of the command that `matches` names.
fn of(definitions: &Command, matches: &ArgMatches) -> Vec<Argument> {
    let Some((name, matches)) = matches.subcommand() else {
        return Vec::new();
    };
    let Some(command) = definitions.find_subcommand(name) else {
        return Vec::new();
    };
    let mut options = Vec::new();
    for definition in command.get_arguments() {
        let id = definition.get_id().as_str();
        let (Some(name), Some(source)) = (definition.get_long(), matches.value_source(id)) else {
            continue;
        };
        let argument = |value| Argument {
            name: name.to_owned(),
            value,
            given: source == ValueSource::CommandLine,
        };
        let values = matches.get_raw(id).into_iter().flatten();
        let mut values = values.map(|value| value.to_string_lossy().into_owned());
        match (definition.get_action(), definition.get_value_delimiter()) {
            (ArgAction::SetTrue, _) => {
                if matches.get_flag(id) {
                    options.push(argument(None));
                }
            }
            (ArgAction::Count, _) => {
                let times = usize::from(matches.get_count(id));
                options.extend(std::iter::repeat_n(argument(None), times));
            }
            (_, Some(delimiter)) => {
                let values: Vec<_> = values.collect();
                options.push(argument(Some(values.join(&delimiter.to_string()))));
            }
            _ => options.extend(values.by_ref().map(|value| argument(Some(value)))),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Vec<Argument> {
        let mut definitions = Cli::command();
        let words = ["cognito-unlink", "plan", "people.csv"].iter().chain(args);
        let matches = definitions
            .try_get_matches_from_mut(words)
            .expect("well formed");
        of(&definitions, &matches)
    }

    #[test]
    fn a_file_in_place_of_a_command_is_run() {
        let tip = |word: &str| {
            let parsed = Cli::try_parse_from(["cognito-unlink", word]);
            let mut error = parsed.expect_err("no command");
            name_the_command(&mut error);
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        for word in [
            "people.csv",
            "./people",
            "data/people.jsonl.gz",
            "people.xlsx",
            "-",
        ] {
            let said = tip(word);
            let meant = format!("did you mean 'cognito-unlink run {word}'?");
            assert!(said.contains(&meant), "{said}");
        }
        for word in ["rum", "emulate"] {
            let said = tip(word);
            assert!(!said.contains("did you mean"), "{said}");
        }
    }

    #[test]
    fn options_come_back_as_they_were() {
        let given = [
            "--rate=7/m",
            "--map=developer_user_identifier=user=id",
            "--carry=a",
            "--carry=-b c",
            "--no-header",
            "--columns=a,-b,c d",
            "--skip-failed",
            "--delimiter=\\t",
            "-vv",
        ];
        let arguments = options(&given);
        let mut texts: Vec<_> = arguments
            .iter()
            .filter(|option| option.given)
            .map(Argument::text)
            .collect();
        texts.sort();
        let mut expected = given.map(str::to_owned).to_vec();
        expected.pop();
        expected.extend(["--verbose".to_owned(), "--verbose".to_owned()]);
        expected.sort();
        assert_eq!(texts, expected);
        let defaults: Vec<_> = arguments.iter().filter(|option| !option.given).collect();
        let has = |text: &str| defaults.iter().any(|option| option.text() == text);
        assert!(has("--burst=1") && has("--timeout=10s"), "{defaults:?}");
        let all = arguments.iter().map(Argument::text);
        let run = Cli::run_again(all, ["-x.csv".into()]).expect("well formed");
        assert_eq!(run.inputs, ["-x.csv"]);
        assert_eq!(run.input.carry, ["a", "-b c"]);
        assert_eq!(run.input.columns.expect("named"), ["a", "-b", "c d"]);
        assert_eq!(run.input.delimiter, Some(b'\t'));
    }
}
