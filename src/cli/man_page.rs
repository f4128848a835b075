//! Man pages: what clap knows of a command, and its page of the manual, in roff.

use clap::CommandFactory as _;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::pages::{self, sections};
use super::program::Cli;

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
    let page = pages::page_of(command).unwrap_or_default();
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
