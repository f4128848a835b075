//! The command as typed, for messages that name the next command.

const REHEARSE: &str = "--rehearse";

/// Returns the command without some flags and with others, quoted for a shell.
#[must_use]
pub fn changed(command: &[String], without: &[&str], with: &[&str]) -> String {
    command
        .iter()
        .map(String::as_str)
        .filter(|arg| !without.contains(arg))
        .chain(with.iter().copied())
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns the command of the real run after a rehearsal. A high rate is left out, since it only makes the rehearsal short and the
/// quota at AWS is a different one; with `keeps_rate` it is kept, since a low one protects production.
#[must_use]
pub fn after_rehearsal(command: &[String], keeps_rate: bool) -> String {
    if keeps_rate {
        return changed(command, &[REHEARSE], &[]);
    }
    let mut words = Vec::new();
    let mut typed = command.iter();
    while let Some(word) = typed.next() {
        match word.as_str() {
            // Inputs follow.
            "--" => {
                words.push(word.clone());
                words.extend(typed.by_ref().cloned());
            }
            "--rate" => _ = typed.next(),
            rate if rate.starts_with("--rate=") => {}
            _ => words.push(word.clone()),
        }
    }
    changed(&words, &[REHEARSE], &[])
}

/// Quotes a word for a POSIX shell.
#[must_use]
pub fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%@+".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let command =
            ["cognito-unlink", "run", "it's here.csv", "--rehearse", ""].map(String::from);
        assert_eq!(
            changed(&command, &["--rehearse"], &["--yes"]),
            r"cognito-unlink run 'it'\''s here.csv' '' --yes"
        );
    }

    #[test]
    fn the_rate_of_a_rehearsal_is_left_out_unless_it_is_to_be_kept() {
        for (typed, real) in [
            ("run p.csv --rehearse --rate 1000", "run p.csv"),
            (
                "run --rate=unlimited --rehearse p.csv --yes",
                "run p.csv --yes",
            ),
            (
                "run --rate 5/m --burst 2 p.csv --rehearse",
                "run --burst 2 p.csv",
            ),
            (
                "run --rehearse -- --rate=1.csv --rate",
                "run -- --rate=1.csv --rate",
            ),
        ] {
            let words: Vec<_> = typed.split(' ').map(str::to_owned).collect();
            assert_eq!(after_rehearsal(&words, false), real, "{typed}");
        }
        let low = ["run", "p.csv", "--rehearse", "--rate", "2"].map(str::to_owned);
        assert_eq!(after_rehearsal(&low, true), "run p.csv --rate 2");
    }
}
