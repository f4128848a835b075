//! The manual: `manual/COMMAND.md`, which `--help` and the man pages share, so that they cannot differ.
//!
//! A page is Markdown that reads well as it stands, and holds no more of it than this: sections under `## `, paragraphs, lists whose
//! items begin with `` - `term`: ``, fenced examples, and code in backticks that does not go over a line's end.

use std::fmt::Write as _;

/// The page of the program as a whole.
pub(super) const PROGRAM: &str = include_str!("manual/program.md");
/// The page of `run`.
pub(super) const RUN: &str = include_str!("manual/run.md");
/// The page of `plan`.
pub(super) const PLAN: &str = include_str!("manual/plan.md");
/// The page of `resolve`.
pub(super) const RESOLVE: &str = include_str!("manual/resolve.md");
/// The page of `relink`.
pub(super) const RELINK: &str = include_str!("manual/relink.md");
/// The page of `verify`.
pub(super) const VERIFY: &str = include_str!("manual/verify.md");
/// The page of `report`.
pub(super) const REPORT: &str = include_str!("manual/report.md");
/// The page of `merge`.
pub(super) const MERGE: &str = include_str!("manual/merge.md");
/// The page of `unlink-developer-identity`.
pub(super) const SINGLE: &str = include_str!("manual/unlink-developer-identity.md");
/// The page of `emulator`.
pub(super) const EMULATOR: &str = include_str!("manual/emulator.md");

/// All pages, by the command that each is of; that of the program has none.
const PAGES: [(&str, &str); 10] = [
    ("", PROGRAM),
    ("run", RUN),
    ("plan", PLAN),
    ("resolve", RESOLVE),
    ("verify", VERIFY),
    ("report", REPORT),
    ("merge", MERGE),
    ("relink", RELINK),
    ("unlink-developer-identity", SINGLE),
    ("emulator", EMULATOR),
];

/// Returns the page of a command, or of the program.
pub(super) fn page_of(command: Option<&str>) -> Option<&'static str> {
    let name = command.unwrap_or_default();
    let found = PAGES.iter().find(|(of, _)| *of == name);
    found.map(|(_, page)| *page)
}

/// Sections that `--help` shows too. The others are long, and wanted less often.
const IN_HELP: [&str; 3] = ["Outcomes", "Exit status", "Examples"];

/// Returns the sections of a page, each as its heading and its text.
pub(super) fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
