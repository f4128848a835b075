//! The words behind `unlink-developer-identity`, read as the AWS CLI reads them.
//!
//! The AWS CLI reads its words twice, by Python's `argparse`: first for the options that it has for every command, then
//! what is left for those of this one. Either time an option may be cut short as long as it is plain which one is meant, so
//! that `--de` is `--debug` although `--developer-user-identifier` begins like that, too. What comes out here is spelt out
//! and free of doubt, for [`super::Cli`] to take.

use std::ffi::OsString;

use clap::{ArgAction, Args as _};

use super::single::{Bound, Expression, GLOBAL, SingleArgs, any_endpoint};

/// The command whose words these are.
const COMMAND: &str = "unlink-developer-identity";

/// Without these there is no call. `--cli-input-json` and `--generate-cli-skeleton` do without.
const NEEDED: [&str; 4] = [
    "--identity-id",
    "--identity-pool-id",
    "--developer-provider-name",
    "--developer-user-identifier",
];

/// Words that make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// The exit code, as the AWS CLI has it: 2 for what `argparse` refuses, 255 for options that nobody knows.
    pub code: u8,
    /// What is wrong. Nothing that may be a user identifier is in it.
    pub message: String,
}

impl Misread {
    fn usage(message: String) -> Self {
        Self { code: 2, message }
    }
}

/// The words of a command line, those behind [`COMMAND`] spelt out.
///
/// # Errors
/// The AWS CLI would refuse them as well.
pub fn plain_words(words: Vec<OsString>) -> Result<Vec<OsString>, Misread> {
    if words.get(1).is_none_or(|command| command != COMMAND) {
        return Ok(words);
    }
    let mut words = words.into_iter();
    let plain: Vec<OsString> = words.by_ref().take(2).collect();
    let words = words
        .map(OsString::into_string)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Misread::usage("an argument is not valid UTF-8".to_owned()))?;
    let spelt = match read(words)? {
        Read::Help => vec!["--help".to_owned()],
        Read::Version => return Ok(vec![plain[0].clone(), "--version".into()]),
        Read::Options(options) => options,
    };
    Ok(plain
        .into_iter()
        .chain(spelt.into_iter().map(OsString::from))
        .collect())
}

/// What the words come to.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Help,
    Version,
    /// Each option once, with its value in the same word.
    Options(Vec<String>),
}

/// An option as the words have to be held against it.
struct Known {
    name: String,
    takes: Takes,
    choices: Vec<String>,
    /// Whether it is one of those that are read first.
    global: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    ValueOrNothing,
}

impl Known {
    fn flag(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            takes: Takes::Nothing,
            choices: Vec::new(),
            global: true,
        }
    }

    fn all() -> Vec<Self> {
        let command = SingleArgs::augment_args(clap::Command::new(COMMAND));
        let defined = command.get_arguments().filter_map(|arg| {
            let takes = match (arg.get_action(), arg.get_num_args()) {
                (ArgAction::SetTrue, _) => Takes::Nothing,
                (_, Some(number)) if number.min_values() == 0 => Takes::ValueOrNothing,
                _ => Takes::Value,
            };
            let choices = match takes {
                Takes::Nothing => Vec::new(),
                _ => arg.get_possible_values(),
            };
            Some(Self {
                name: format!("--{}", arg.get_long()?),
                takes,
                choices: choices.iter().map(|c| c.get_name().to_owned()).collect(),
                global: arg.get_help_heading() == Some(GLOBAL),
            })
        });
        defined
            .chain(["--version", "--help"].map(Self::flag))
            .collect()
    }
}

fn read(words: Vec<String>) -> Result<Read, Misread> {
    let known = Known::all();
    let (global, own): (Vec<&Known>, Vec<&Known>) = known.iter().partition(|known| known.global);
    let first = pass(&global, words)?;
    for (flag, read) in [("--version", Read::Version), ("--help", Read::Help)] {
        if first.given.iter().any(|(name, _)| name == flag) {
            return Ok(read);
        }
    }
    check(&first.given)?;
    let words: Vec<String> = first.rest.into_iter().map(|(word, _)| word).collect();
    if words == ["help"] {
        return Ok(Read::Help);
    }
    let needed = if does_without(&words) {
        &[][..]
    } else {
        &NEEDED
    };
    let second = pass(&own, words)?;
    let missing: Vec<&str> = needed
        .iter()
        .filter(|name| second.given.iter().all(|(given, _)| given != *name))
        .copied()
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Misread::usage(format!(
            "the following arguments are required: {missing}"
        )));
    }
    let stray = second.rest.iter().find(|(_, is_option)| !is_option);
    if stray.is_some_and(|(word, _)| word == "help") {
        return Ok(Read::Help);
    }
    if !second.rest.is_empty() {
        return Err(unknown(&second.rest));
    }
    let mut options: Vec<String> = Vec::new();
    let mut spelt: Vec<(String, Option<String>)> = first.given;
    spelt.extend(second.given);
    for (at, (name, value)) in spelt.iter().enumerate() {
        // Of an option that is given twice the last value counts.
        if spelt[at + 1..].iter().any(|(later, _)| later == name) {
            continue;
        }
        options.push(match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
    }
    Ok(Read::Options(options))
}

/// Holds values against their rules before anything else is looked at, since the AWS CLI does so with another exit code.
fn check(given: &[(String, Option<String>)]) -> Result<(), Misread> {
    for (name, value) in given {
        let value = value.as_deref().unwrap_or_default();
        let checked = match name.as_str() {
            "--cli-read-timeout" | "--cli-connect-timeout" => value.parse::<Bound>().map(drop),
            "--query" => value.parse::<Expression>().map(drop),
            // A refusal would quote a password: with one, the command itself refuses it.
            "--endpoint-url" if value.contains('@') => Ok(()),
            "--endpoint-url" => any_endpoint(value).map(drop),
            _ => Ok(()),
        };
        checked.map_err(|why| Misread {
            code: 255,
            message: format!("Bad value for {name} \"{value}\": {why}"),
        })?;
    }
    Ok(())
}

/// Whether the four parameters may be missing. The AWS CLI looks for the words as they stand: neither an option that is cut
/// short nor one with its value in the same word has this effect.
fn does_without(words: &[String]) -> bool {
    let skeleton = words
        .iter()
        .position(|word| word == "--generate-cli-skeleton");
    words.iter().any(|word| word == "--cli-input-json")
        || skeleton.is_some_and(|at| words.get(at + 1).is_none_or(|next| next != "output"))
}

/// Names the options that nobody knows, and counts what stands beside them: it may be half of a user identifier.
fn unknown(rest: &[(String, bool)]) -> Misread {
    let named = |word: &str| {
        word.split_once('=')
            .map_or(word, |(name, _)| name)
            .to_owned()
    };
    let mut told: Vec<String> = rest
        .iter()
        .filter(|(word, is_option)| *is_option && word.starts_with("--"))
        .map(|(word, _)| named(word))
        .collect();
    match rest.len() - told.len() {
        0 => {}
        1 => told.push("one word that belongs to no option (quote a value with spaces)".to_owned()),
        words => told.push(format!(
            "{words} words that belong to no option (quote a value with spaces)"
        )),
    }
    Misread {
        code: 255,
        message: format!("Unknown options: {}", told.join(", ")),
    }
}

/// What one reading has found, and what it has left over: each word, and whether it looks like an option.
struct Pass {
    given: Vec<(String, Option<String>)>,
    rest: Vec<(String, bool)>,
}

/// What a word is taken for.
enum Kind<'a> {
    /// An option, with the value behind its `=`.
    Option(&'a Known, Option<String>),
    /// An option of somebody else.
    Foreign,
    Value,
    /// `--`: everything behind it is a value.
    End,
}

fn pass(known: &[&Known], words: Vec<String>) -> Result<Pass, Misread> {
    let mut kinds = Vec::with_capacity(words.len());
    let mut ended = false;
    for word in &words {
        kinds.push(match word.as_str() {
            _ if ended => Kind::Value,
            "--" => {
                ended = true;
                Kind::End
            }
            word => kind(known, word)?,
        });
    }
    let mut found = Pass {
        given: Vec::new(),
        rest: Vec::new(),
    };
    let mut words = words.into_iter().zip(kinds).peekable();
    while let Some((word, kind)) = words.next() {
        let (option, attached) = match kind {
            Kind::Option(option, attached) => (option, attached),
            Kind::End => continue,
            Kind::Foreign => {
                found.rest.push((word, true));
                continue;
            }
            Kind::Value => {
                found.rest.push((word, false));
                continue;
            }
        };
        let name = &option.name;
        let next = |words: &mut std::iter::Peekable<_>| {
            words
                .next_if(|(_, kind)| matches!(kind, Kind::Value))
                .map(|(word, _): (String, Kind<'_>)| word)
        };
        let value = match (option.takes, attached) {
            (Takes::Nothing, None) => None,
            (Takes::Nothing, Some(_)) => {
                return Err(Misread::usage(format!("argument {name}: takes no value")));
            }
            (_, Some(value)) => Some(value),
            (Takes::ValueOrNothing, None) => next(&mut words),
            (Takes::Value, None) => Some(next(&mut words).ok_or_else(|| {
                Misread::usage(format!(
                    "argument {name}: expected one argument (write {name}=VALUE if it begins with a dash)"
                ))
            })?),
        };
        if let Some(value) = &value
            && !option.choices.is_empty()
            && !option.choices.contains(value)
        {
            let choices = option.choices.join(", ");
            return Err(Misread::usage(format!(
                "argument {name}: Invalid choice, valid choices are: {choices}"
            )));
        }
        found.given.push((name.clone(), value));
        if name == "--version" {
            break;
        }
    }
    Ok(found)
}

/// What `argparse` takes a word for; one that begins with a dash can be a value still.
fn kind<'a>(known: &[&'a Known], word: &str) -> Result<Kind<'a>, Misread> {
    if !word.starts_with('-') || word == "-" {
        return Ok(Kind::Value);
    }
    let (name, attached) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    if let Some(exact) = known.iter().find(|known| known.name == name) {
        return Ok(Kind::Option(exact, attached));
    }
    let meant: Vec<_> = known
        .iter()
        .filter(|known| known.name.starts_with(name))
        .collect();
    match meant[..] {
        [one] => Ok(Kind::Option(one, attached)),
        [] if is_number(word) || word.contains(' ') => Ok(Kind::Value),
        [] => Ok(Kind::Foreign),
        _ => {
            let names: Vec<&str> = meant.iter().map(|known| known.name.as_str()).collect();
            Err(Misread::usage(format!(
                "ambiguous option: {name} could match {}",
                names.join(", ")
            )))
        }
    }
}

/// `-1`, `-1.5`, `-.5`.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = &word[1..];
    match number.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part) && !part.is_empty(),
        None => digits(number),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    const LINK: [&str; 4] = [
        "--identity-id=i",
        "--identity-pool-id=p",
        "--developer-provider-name=n",
        "--developer-user-identifier=u",
    ];

    fn of(words: &[&str]) -> Result<Read, Misread> {
        read(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// What is left of `words` beside a whole link.
    fn beside_a_link(words: &[&str]) -> Vec<String> {
        let words: Vec<&str> = LINK.iter().chain(words).copied().collect();
        match of(&words) {
            Ok(Read::Options(options)) => options
                .into_iter()
                .filter(|option| !LINK.contains(&option.as_str()))
                .collect(),
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn refused(words: &[&str]) -> (u8, String) {
        match of(words) {
            Err(Misread { code, message }) => (code, message),
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn options_are_cut_short_and_the_global_ones_go_first() {
        assert_eq!(beside_a_link(&["--de"]), ["--debug"]);
        assert_eq!(beside_a_link(&["--reg", "x"]), ["--region=x"]);
        assert_eq!(
            beside_a_link(&["--developer-u=x"]),
            ["--developer-user-identifier=x"]
        );
        assert!(refused(&["--dev", "x"]).1.contains("could match"));
        assert!(refused(&["--c", "x"]).1.contains("--ca-bundle"));
        assert_eq!(of(&["--vers"]), Ok(Read::Version));
    }

    #[test]
    fn what_begins_with_a_dash_is_a_value_if_it_cannot_be_an_option() {
        for value in ["-", "-5", "-.5", "-1.5", "-x y", "--x y"] {
            let given = beside_a_link(&["--region", value]);
            assert_eq!(given, [format!("--region={value}")]);
        }
        for option in ["-x", "--x", "--", "-5."] {
            assert_eq!(refused(&["--region", option]).0, 2, "{option}");
        }
        assert_eq!(beside_a_link(&["--region=-x"]), ["--region=-x"]);
        assert_eq!(beside_a_link(&["--region="]), ["--region="]);
    }

    #[test]
    fn strangers_are_refused_and_no_value_is_told() {
        let words: Vec<&str> = LINK
            .iter()
            .chain(&["--foo=John", "Smith", "-x"])
            .copied()
            .collect();
        let (code, message) = refused(&words);
        assert_eq!(code, 255);
        assert!(
            message.starts_with("Unknown options: --foo, 2 words"),
            "{message}"
        );
        assert_eq!(refused(&["--foo"]).0, 2, "what is missing goes first");
    }

    #[test]
    fn parameters_are_needed_unless_a_whole_word_says_otherwise() {
        for words in [
            &["--cli-input-json", "{}"][..],
            &["--generate-cli-skeleton"],
            &["--generate-cli-skeleton", "input"],
        ] {
            assert!(of(words).is_ok(), "{words:?}");
        }
        for words in [
            &["--cli-input-json={}"][..],
            &["--cli-i", "{}"],
            &["--generate-cli-skeleton", "output"],
            &["--generate-cli-skeleton=input"],
            &[],
        ] {
            assert_eq!(refused(words).0, 2, "{words:?}");
        }
    }

    #[test]
    fn values_are_refused_before_what_is_missing() {
        for words in [
            ["--query", "["],
            ["--endpoint-url", ""],
            ["--cli-read-timeout", "x"],
        ] {
            assert_eq!(refused(&words).0, 255, "{words:?}");
        }
    }

    #[test]
    fn other_commands_words_are_left_alone_and_these_are_text() {
        let words = |command: &str| {
            let strange = OsString::from_vec(vec![0xff]);
            plain_words(vec!["cognito-unlink".into(), command.into(), strange])
        };
        assert_eq!(words("run").map(|words| words.len()), Ok(3));
        assert_eq!(words(COMMAND).map_err(|misread| misread.code), Err(2));
    }

    #[test]
    fn help_is_a_word_or_an_option() {
        assert_eq!(of(&["help"]), Ok(Read::Help));
        assert_eq!(of(&["--identity-id", "i", "--help"]), Ok(Read::Help));
        assert_eq!(refused(&["--identity-id", "help"]).0, 2);
    }
}
