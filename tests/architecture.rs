//! The modules in `src/` know of each other what this table allows, and no more.
//!
//! Data flows one way, `input → row → admit → call → outcome / retry → record → report`; `run` is the map. What a module names
//! of ours outside its tests is read from its text, so a `use` that turns the flow around fails here before it is relied on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name of ours. What it does not name any more is taken out, so that it is not picked up again unseen.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("lib", &[]),
    (
        "main",
        &[
            "cli",
            "error",
            "limits",
            "plan",
            "rehearsal",
            "report",
            "run",
            "settings",
            "single",
            "stderr",
            "supervisor",
        ],
    ),
    // The arguments' own types parse themselves, so that a wrong one is refused where it stands.
    ("cli", &["admit", "emulator", "input", "row", "url"]),
    // It settles the settings of everything that has some.
    (
        "settings",
        &[
            "admit", "call", "clock", "cli", "config", "error", "hold", "input", "quotas",
            "record", "report", "retry", "row", "run", "terminal", "url",
        ],
    ),
    (
        "run",
        &[
            "admit", "call", "clock", "config", "emulator", "error", "files", "hold", "input",
            "limits", "outcome", "quotas", "record", "report", "retry", "row", "settings",
            "signal", "stderr", "terminal", "url", "worker",
        ],
    ),
    // It reads what a run would read, and calls nothing.
    (
        "plan",
        &[
            "admit", "call", "clock", "cli", "error", "files", "hold", "input", "quotas", "record",
            "report", "row", "run", "settings", "terminal", "url",
        ],
    ),
    ("config", &["admit", "error", "files", "row"]),
    ("hold", &["files"]),
    ("quotas", &["clock", "files"]),
    ("clock", &[]),
    ("files", &[]),
    ("row", &[]),
    ("input", &["files", "row"]),
    ("admit", &[]),
    ("call", &["outcome", "row", "url"]),
    ("outcome", &[]),
    ("retry", &["outcome"]),
    (
        "worker",
        &[
            "admit", "call", "hold", "limits", "outcome", "record", "retry", "row", "signal",
        ],
    ),
    ("record", &["clock", "files", "outcome", "row"]),
    (
        "report",
        &[
            "admit", "clock", "error", "outcome", "signal", "stderr", "terminal",
        ],
    ),
    ("single", &["call", "cli", "error", "report", "row", "url"]),
    ("signal", &["error"]),
    ("stderr", &[]),
    ("supervisor", &["error", "limits", "signal", "stderr"]),
    ("limits", &["error"]),
    ("terminal", &[]),
    ("url", &[]),
    ("error", &[]),
    (
        "rehearsal",
        &["cli", "emulator", "error", "input", "report", "row"],
    ),
    ("emulator", &[]),
];

/// What no edit of the table may allow, with the reason.
const NEVER: &[(&str, &str, &str)] = &[
    (
        "report",
        "call",
        "what shows a run must not be able to call",
    ),
    (
        "report",
        "record",
        "what shows a run never touches the results file",
    ),
    ("input", "call", "a reader reads"),
    ("outcome", "call", "it is pure"),
    ("retry", "call", "it is pure"),
    ("admit", "row", "it admits whatever comes"),
];

/// The only folder that may name crates of AWS.
const NAMES_AWS: &str = "call/aws/";

/// A file of the library or the program.
struct Source {
    /// Under `src/`, with slashes.
    path: String,
    text: String,
}

impl Source {
    fn all() -> Vec<Self> {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut sources = Vec::new();
        let mut folders = vec![src.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of sources") {
                let path: PathBuf = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let within = path.strip_prefix(&src).expect("a path under src");
                    sources.push(Self {
                        path: within.to_str().expect("a name in ASCII").to_owned(),
                        text: fs::read_to_string(&path).expect("a source in UTF-8"),
                    });
                }
            }
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// `run/engine.rs` is `["run", "engine"]`, `run/mod.rs` is `["run"]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs");
        path.trim_end_matches("/mod").split('/').collect()
    }

    /// Whether all of it is compiled for tests only.
    fn is_test(&self) -> bool {
        let tests = |name: &&str| *name == "tests" || name.ends_with("_tests");
        self.module().iter().any(tests)
    }
}

/// A word or a mark of the text; comments, strings and character literals are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, counts) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else if let Some(length) = literal(rest) {
            (length, false)
        } else if is_word(first) {
            (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true)
        } else if rest.starts_with("::") {
            (2, true)
        } else {
            (first.len_utf8(), !first.is_whitespace())
        };
        let (token, behind) = rest.split_at(length);
        if counts {
            tokens.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = behind;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        let Some(mark) = text[at..].find(['/', '*']).map(|found| at + found) else {
            return text.len();
        };
        let pair = text.get(mark..mark + 2).unwrap_or_default();
        (depth, at) = match pair {
            "/*" => (depth + 1, mark + 2),
            "*/" => (depth - 1, mark + 2),
            _ => (depth, mark + 1),
        };
        if depth == 0 {
            return at;
        }
    }
}

/// Length of the string or character literal that the text begins with. A lifetime is none.
fn literal(text: &str) -> Option<usize> {
    let open = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - open.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = open.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inner = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = inner.find(&close)? + close.len();
        return Some(prefix + 1 + hashes + 1 + end);
    }
    let quote = open.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    for (at, c) in open.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(prefix + at + 1),
            // Two characters without a closing quote: a lifetime.
            _ if quote == '\''
                && !open[at + c.len_utf8()..].starts_with('\'')
                && !open.starts_with("'\\") =>
            {
                return None;
            }
            _ => {}
        }
    }
    None
}

/// Takes out what is compiled for tests only.
fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let head = tokens[at..].iter().map(|token| token.text);
        if head.take(CFG_TEST.len()).eq(CFG_TEST) {
            at = end_of_item(tokens, at + CFG_TEST.len());
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Where the item or statement ends that begins `from` there: behind its block or its semicolon.
fn end_of_item(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(token.text, ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// The top-level modules that paths in the text lead to, each with its line. `module` is where the text stands.
fn known<'a>(tokens: &[Token<'a>], module: &[&'a str]) -> Vec<(&'a str, usize)> {
    let mut known = Vec::new();
    let mut at = 0;
    while at + 1 < tokens.len() {
        let (token, next) = (tokens[at], tokens[at + 1]);
        // `a::crate` does not exist, but `a::super` would be no beginning of a path either.
        let begins = at == 0 || tokens[at - 1].text != "::";
        at += 1;
        if next.text != "::" || !begins {
            continue;
        }
        let mut base = match token.text {
            "crate" | "cognito_unlink" => &[][..],
            "super" => &module[..module.len() - 1],
            _ => continue,
        };
        let mut first = at + 1;
        while tokens.get(first).is_some_and(|token| token.text == "super") {
            base = &base[..base.len().saturating_sub(1)];
            first += 2;
        }
        if let Some(top) = base.first() {
            known.push((*top, token.line));
        } else {
            known.extend(firsts(&tokens[first..]));
        }
    }
    known
}

/// The first names of a path, or of each path in a group.
fn firsts<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize)> {
    let Some(token) = tokens.first() else {
        return Vec::new();
    };
    if token.text != "{" {
        return vec![(token.text, token.line)];
    }
    let (mut firsts, mut depth, mut begins) = (Vec::new(), 0, false);
    for token in tokens {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && begins => firsts.push((token.text, token.line)),
            _ => {}
        }
        begins = depth == 1 && matches!(token.text, "{" | ",");
        if depth == 0 {
            break;
        }
    }
    firsts
}

/// What is wrong with `sources`, held against `table`.
fn violations(sources: &[Source], table: &[(&str, &[&str])]) -> Vec<String> {
    let table: BTreeMap<_, _> = table.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let top = module[0];
        let all = tokens(&source.text);
        let kept = without_tests(&all);
        if !source.path.starts_with(NAMES_AWS) {
            for token in all.iter().filter(|token| token.text.starts_with("aws_")) {
                wrong.push(format!(
                    "{}:{}: names {}",
                    source.path, token.line, token.text
                ));
            }
        }
        let Some(may_know) = table.get(top) else {
            wrong.push(format!("{}: `{top}` is not in the table", source.path));
            continue;
        };
        for (other, line) in known(&kept, &module) {
            named.insert((top, other));
            if other != top && !may_know.contains(&other) {
                wrong.push(format!(
                    "{}:{line}: `{top}` may not know `{other}`",
                    source.path
                ));
            }
        }
    }
    for (top, may_know) in table {
        for other in may_know {
            if !named.contains(&(top, *other)) {
                wrong.push(format!(
                    "`{top}` does not name `{other}`: take it out of the table"
                ));
            }
        }
    }
    wrong
}

#[test]
fn modules_know_what_the_table_allows() {
    let wrong = violations(&Source::all(), MAY_KNOW);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_allows_nothing_that_must_never_be() {
    for (module, may_know) in MAY_KNOW {
        for (never, other, reason) in NEVER {
            assert!(
                never != module || !may_know.contains(other),
                "{module} knows {other}, but {reason}"
            );
        }
    }
    for lonely in ["emulator", "row", "outcome", "admit"] {
        assert!(
            MAY_KNOW.contains(&(lonely, &[])),
            "{lonely} knows nothing of ours"
        );
    }
}

/// What is wrong with a file of this text, where `report` may know `row` alone.
fn judged(path: &str, text: &str) -> Vec<String> {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let sources = [
        source("report/usual.rs", "use crate::row::Row;"),
        source(path, text),
    ];
    violations(&sources, &[("report", &["row"]), ("call", &[])])
}

#[test]
fn a_forbidden_name_is_found_however_it_is_written() {
    for text in [
        "use crate::call::Unlink;",
        "use crate::{row::Row, call};",
        "use crate::{\n    row::{Field, Row},\n    call::{self, aws::AwsCalls},\n};",
        "pub use super::super::call;",
        "fn f() { let x = 'a'; crate::aws::make(\"row\") }",
        "fn f<'a>(x: &'a str) -> crate::call::Call<'a> {}",
        "#[cfg(test)]\nmod tests {}\nuse crate::call;",
        "#[cfg(test)]\nuse crate::row::Key;\nuse crate::call;",
        "/* a /* comment */ */ use crate::call;",
        "const S: &str = r#\"\"//\"#; use crate::call;",
        "use cognito_unlink::call;",
    ] {
        let wrong = judged("report/line.rs", text);
        let found = matches!(&wrong[..], [one] if one.ends_with("`report` may not know `call`"));
        assert!(found, "{text}\n{wrong:?}");
    }
    let line = judged("report/line.rs", "\n/*\n*/\nuse crate::call;");
    assert!(line[0].starts_with("report/line.rs:4:"), "{line:?}");
    let sibling = judged("report.rs", "use super::call;");
    assert_eq!(sibling.len(), 1, "{sibling:?}");
    assert_eq!(judged("report/mod.rs", "use crate::*;").len(), 1);
    assert_eq!(judged("unheard_of.rs", "").len(), 1);
}

#[test]
fn what_names_nothing_forbidden_is_let_through() {
    for text in [
        "use super::{Tally, call};\nuse super::call::x;",
        "use std::call;\nuse self::call::x;",
        "// use crate::call;\n//! crate::call\n/* crate::call */",
        "const S: &str = \"\\\"crate::call\"; const R: &str = r##\"\"# crate::call\"##; const B: &[u8] = b\"crate::call\";",
        "#[cfg(test)]\nmod tests {\n    use crate::call;\n}",
        "#[cfg(test)]\nuse crate::call::Unlink;",
        "pub(crate) fn f() { #[cfg(test)]\n crate::call::count(1); g('\\'', '\"') }",
    ] {
        assert_eq!(judged("report/line.rs", text), [""; 0], "{text}");
    }
    assert_eq!(judged("report/tests/line.rs", "use crate::call;"), [""; 0]);
    assert_eq!(judged("report/line_tests.rs", "use crate::call;"), [""; 0]);
}

#[test]
fn aws_is_named_in_one_file() {
    let text = "use aws_config::Region;";
    assert_eq!(
        judged("report/line.rs", text),
        ["report/line.rs:1: names aws_config"]
    );
    assert_eq!(judged("call/aws/mod.rs", text), [""; 0]);
    let in_tests = "#[cfg(test)]\nmod tests { use aws_config::Region; }";
    assert_eq!(
        judged("report/line.rs", in_tests).len(),
        1,
        "not in tests either"
    );
}

#[test]
fn what_is_allowed_and_not_used_is_taken_back() {
    let source = Source {
        path: "report.rs".to_owned(),
        text: "#[cfg(test)]\nuse crate::row::Row;".to_owned(),
    };
    let wrong = violations(&[source], &[("report", &["row"])]);
    assert_eq!(
        wrong,
        ["`report` does not name `row`: take it out of the table"]
    );
}
