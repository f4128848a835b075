//! The manual: `manual/COMMAND.md`, which `--help` and the man pages share, so that they say the same.
//!
//! A page is Markdown that reads well as it stands, and holds no more of it than this: sections under `## `, paragraphs, lists whose
//! items begin with `` - `term`: ``, fenced examples, and code in backticks that does not go over a line's end.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::Cli;

/// The page of the program as a whole.
pub(super) const PROGRAM: &str = include_str!("manual/program.md");
/// The page of `run`.
pub(super) const RUN: &str = include_str!("manual/run.md");
/// The page of `plan`.
pub(super) const PLAN: &str = include_str!("manual/plan.md");
/// The page of `unlink-developer-identity`.
pub(super) const SINGLE: &str = include_str!("manual/unlink-developer-identity.md");
/// The page of `emulator`.
pub(super) const EMULATOR: &str = include_str!("manual/emulator.md");

/// Sections that `--help` shows too. The others are long, and wanted less often.
const IN_HELP: [&str; 3] = ["Outcomes", "Exit status", "Examples"];

/// Returns the sections of a page, each as its heading and its text.
fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
}

/// Returns what `--help` shows of a page below the options.
pub(super) fn help(page: &str, command: &str) -> String {
    let mut help = String::new();
    for (heading, text) in sections(page).filter(|(heading, _)| IN_HELP.contains(heading)) {
        // Bold and underlined, as clap sets its own headings.
        let _ = writeln!(help, "\u{1b}[1;4m{heading}:\u{1b}[0m");
        let mut is_example = false;
        for line in text.trim().lines() {
            if line.starts_with("```") {
                is_example = !is_example;
            } else if is_example {
                let _ = writeln!(help, "    {line}");
            } else {
                let line = line.strip_prefix("- ").unwrap_or(line).replace('`', "");
                let _ = writeln!(help, "{}", format!("  {line}").trim_end());
            }
        }
        help.push('\n');
    }
    let man = ["cognito-unlink man", command].join(" ");
    let _ = write!(help, "The manual has more: {} | man -l -", man.trim_end());
    help
}

/// Returns the man page of the program or of a command, as roff; nothing if there is no such command.
#[must_use]
pub fn man_page(command: Option<&str>) -> Option<String> {
    let mut program = Cli::command().disable_help_subcommand(true);
    let version = program.get_version().unwrap_or_default();
    let source = format!("{} {version}", program.get_name());
    // Only then do the commands know what they are called.
    program.build();
    let definitions = match command {
        None => program,
        Some(name) => program.find_subcommand(name)?.clone(),
    };
    let page = match command {
        None => PROGRAM,
        Some("run") => RUN,
        Some("plan") => PLAN,
        Some("unlink-developer-identity") => SINGLE,
        Some("emulator") => EMULATOR,
        Some(_) => "",
    };
    let usage = definitions.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    // The page says itself what clap would put into a section EXTRA; the version stands in its foot.
    let definitions = definitions
        .after_help(Resettable::Reset)
        .after_long_help(Resettable::Reset)
        .version(Resettable::Reset)
        .override_usage(usage);
    let mut roff = Vec::new();
    Man::new(definitions)
        // An empty date would be left out, and what follows taken for it.
        .date("\"\"")
        .source(source)
        .manual("User Commands")
        .render(&mut roff)
        .expect("memory takes any page");
    Some(String::from_utf8_lossy(&roff).into_owned() + &rendered(page).render())
}

/// Sets a page in roff.
fn rendered(page: &str) -> Roff {
    let mut roff = Roff::new();
    for (heading, text) in sections(page) {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        let mut is_example = false;
        let mut is_new = true;
        for line in text.trim().lines() {
            if line.starts_with("```") {
                let around: &[_] = if is_example {
                    &["EE", "RE"]
                } else {
                    &["PP", "RS", "EX"]
                };
                for name in around {
                    roff.control(*name, []);
                }
                is_example = !is_example;
            } else if is_example {
                roff.text([roman(line)]);
            } else if line.is_empty() {
                is_new = true;
            } else if let Some((term, rest)) =
                line.strip_prefix("- ").and_then(|i| i.split_once(": "))
            {
                roff.control("TP", []);
                roff.text([bold(term.replace('`', ""))]);
                roff.text(inline(rest));
                is_new = false;
            } else {
                if is_new {
                    roff.control("PP", []);
                }
                roff.text(inline(line.trim_start()));
                is_new = false;
            }
        }
    }
    roff
}

/// Sets code in bold.
fn inline(line: &str) -> Vec<Inline> {
    let parts = line.split('`').enumerate();
    parts
        .map(|(i, part)| if i % 2 == 0 { roman(part) } else { bold(part) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [(&str, &str); 5] = [
        ("", PROGRAM),
        ("run", RUN),
        ("plan", PLAN),
        ("unlink-developer-identity", SINGLE),
        ("emulator", EMULATOR),
    ];

    #[test]
    fn pages_hold_no_more_markdown_than_is_understood() {
        for (name, page) in PAGES {
            let mut is_example = false;
            for line in page.lines().skip_while(|line| !line.starts_with("## ")) {
                if line.starts_with("```") {
                    is_example = !is_example;
                    assert_eq!(line, "```", "{name}");
                } else if !is_example {
                    assert_eq!(line.matches('`').count() % 2, 0, "{name}: {line}");
                    for other in ["# ", "### ", "* ", "> ", "|", "1. ", "!["] {
                        assert!(!line.starts_with(other), "{name}: {line}");
                    }
                    let is_item = line.starts_with("- ");
                    assert!(!is_item || line.contains("`: "), "{name}: {line}");
                }
                let width = line.chars().count();
                assert!(width <= 90, "{name}: {width} columns: {line}");
            }
            assert!(!is_example, "{name}: an example has no end");
        }
    }

    #[test]
    fn every_page_has_the_sections_that_are_looked_for() {
        for (name, page) in PAGES {
            let headings: Vec<_> = sections(page).map(|(heading, _)| heading).collect();
            for wanted in ["Exit status", "Environment", "Files", "Examples"] {
                assert!(headings.contains(&wanted), "{name}: {headings:?}");
            }
        }
    }

    #[test]
    fn a_page_is_set_in_roff() {
        let page = "# skipped\n\n## Some words\n\nA `--flag`\ngoes on.\n\nAnother.\n\n\
                    - `0`: all is\n  well: yes.\n- `1`: not.\n\n```\n.dot 'x'\n```\n";
        assert_eq!(
            rendered(page).to_roff(),
            ".SH \"SOME WORDS\"\n.PP\nA \\fB\\-\\-flag\\fR\ngoes on.\n.PP\nAnother.\n.TP\n\\fB0\\fR\nall is\n\
             well: yes.\n.TP\n\\fB1\\fR\nnot.\n.PP\n.RS\n.EX\n\\&.dot 'x'\n.EE\n.RE\n"
        );
    }
}
