//! Holds the order of the files in `src/`: no circles, a short list of what may never know what, `aws_*` crates in one room.
//! A file knows another if one of its paths, followed through re-exports, ends at an item that the other defines. So a face
//! (`mod.rs` with `pub use`) is no step on the way: its users know the files behind it. Items that begin with `#[cfg(test)]`
//! may know everything but the crates of AWS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::{fs, path::Path};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

/// Rooms (files or folders), the others that they may know, and why. For each file the first line that holds it counts.
#[rustfmt::skip]
const LAWS: &[(&str, &str, &str)] = &[
    ("clock exit files operation row stderr terminal url", "only", "all others stand on them"),
    ("verdict", "only operation row", "it is pure"),
    ("objects", "only", "names of objects, and what a store must do"),
    ("aws call", "only call objects row url verdict", "requests and answers are the same for every command"),
    ("admission", "only operation", "it admits calls of any kind"),
    ("input", "only files objects row", "a reader never calls"),
    ("results/unresolved_file", "only files input objects results row", "rows of an input are read back as an input"),
    ("results saved_quotas", "only clock files objects operation row verdict", "a record depends neither on AWS nor on a pipeline"),
    ("emulator/command", "only cli emulator error exit exit_policy input report row", "a command as others are"),
    ("emulator", "only", "an oracle must not share the client's bugs"),
    ("cli", "only admission/rate_limit emulator error exit input/format row url", "arguments are text and values"),
    ("settings", "never call jobs plan", "they are resolved before anything starts"),
    ("scan", "never admission aws call jobs plan", "it judges a row before any call"),
    ("guard", "never cli jobs plan", "run, dry run and plan share it"),
    ("pipeline", "never aws cli jobs plan settings", "it serves any job"),
    ("runner", "never cli jobs plan", "it serves any job"),
    ("report", "never aws call jobs/unlink/job jobs/unlink/run results", "it can neither call nor touch the results"),
    ("overview", "only admission/rate_limit cli clock command_line error exit exit_policy files jobs/unlink/outcome jobs/verify/outcome report/human report/messages report/progress report/reading results row settings terminal verdict", "it reads results and never calls"),
    ("plan", "never jobs/unlink/dry_run jobs/unlink/job jobs/unlink/run", "plan and run share only what is below both"),
    ("jobs/relink", "never cli jobs/resolve jobs/unlink/job jobs/unlink/keep jobs/unlink/run jobs/verify plan", "it knows the outcomes that it changes"),
    ("jobs/unlink jobs/resolve", "never cli jobs/unlink jobs/resolve jobs/verify plan", "no job needs another, or what is above it"),
    ("jobs/verify", "never cli jobs/resolve jobs/unlink/job jobs/unlink/run plan", "it knows the outcomes that it verifies"),
    ("jobs/user_lookup", "only call guard row verdict", "jobs that look users up share it"),
    ("jobs", "only", "every job needs a line here"),
    ("aws_cli", "never admission jobs pipeline plan results", "a single call is no run"),
    ("error signal supervisor", "only error exit os_limits signal stderr", "they act while all else fails or is stuck"),
];

/// Texts by their files' names, as `src/a/b.rs`.
type Sources = BTreeMap<String, String>;
/// A user and the file that it knows, with the names of the items.
type Edges = BTreeMap<Vec<String>, BTreeSet<String>>;

/// The files of modules, and the paths of imports and re-exports, by their own names as `::a::b`.
#[derive(Default)]
struct House {
    modules: BTreeMap<String, String>,
    imports: BTreeMap<String, String>,
}

impl House {
    fn edges(mut sources: Sources) -> Edges {
        let (mut house, mut all_paths) = (House::default(), Vec::new());
        sources.retain(|file, _| !file.contains("tests"));
        for (file, text) in sources {
            let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let name = name.trim_start_matches("src").trim_end_matches("/lib");
            let module = name.replace('/', "::");
            let items = syn::parse_file(&text).expect("Rust").items.into_iter();
            let items = items.map(ToTokens::into_token_stream);
            let items = items.filter(|item| !item.to_string().starts_with("# [cfg (test)]"));
            for path in paths(items.collect(), "") {
                let target = path.split("::as::").next().unwrap_or_default();
                let alias = path.rsplit("::").find(|name| *name != "self");
                if let Some(alias) = alias.filter(|_| path.starts_with("use::")) {
                    let alias = format!("{module}::{alias}");
                    house.imports.insert(alias, target.to_owned());
                }
                all_paths.push((module.clone(), target.to_owned()));
            }
            house.modules.insert(module, file);
        }
        let mut edges = Edges::new();
        for (module, path) in &all_paths {
            let user = &house.modules[module];
            if let Some((file, name)) = house.definition(module, path).filter(|to| to.0 != user) {
                let names = edges.entry(vec![user.clone(), file.clone()]);
                names.or_default().insert(name);
            }
        }
        edges
    }

    /// Returns the file that defines the item to which a path in the module `at` leads, and the item's name. A path into
    /// another crate ends where it begins.
    fn definition(&self, at: &str, path: &str) -> Option<(&String, String)> {
        let (name, rest) = path.split_once("::").unwrap_or((path, ""));
        let inner = format!("{at}::{name}");
        let import = self.imports.get(&inner);
        // `use clap;` is no more than it says.
        match (
            name,
            import.filter(|import| import.split("::").nth(1) != Some(name)),
        ) {
            ("", _) => None,
            ("crate" | "cognito_unlink", _) => self.definition("", rest),
            ("use" | "self", _) => self.definition(at, rest),
            ("super", _) => self.definition(at.rsplit_once("::")?.0, rest),
            _ if self.modules.contains_key(&inner) => self.definition(&inner, rest),
            (_, Some(import)) => self.definition(at, &format!("{import}::{rest}")),
            _ => Some((&self.modules[at], name.to_owned())),
        }
    }
}

/// Returns every path among the tokens: imports as `use::a::b` or `use::a::b::as::c`, and groups behind `a::` spread out.
fn paths(tokens: TokenStream, prefix: &str) -> Vec<String> {
    let (mut paths, mut colons, mut goes_on) = (Vec::<String>::new(), 0, false);
    for token in tokens {
        let text = token.to_string();
        colons = if text == ":" { colons + 1 } else { 0 };
        goes_on = match token {
            TokenTree::Group(group) => {
                let prefix = paths.pop_if(|_| goes_on).map(|path| path + "::");
                paths.extend(self::paths(group.stream(), &prefix.unwrap_or_default()));
                false
            }
            _ if goes_on && text == "*" || matches!(token, TokenTree::Ident(_)) => {
                let renames = |path: &&mut String| text == "as" && path.starts_with("use::");
                match paths.last_mut().filter(|path| goes_on || renames(path)) {
                    Some(path) => path.extend(["::", &text]),
                    None => paths.push(prefix.to_owned() + &text),
                }
                ["as", "use"].contains(&&*text)
            }
            _ => colons == 2 && !paths.is_empty(),
        };
    }
    paths
}

/// Returns the shortest circle: its files, the first again at the end.
fn circle(edges: &Edges) -> Option<Vec<String>> {
    let mut ways: VecDeque<_> = edges.keys().cloned().collect();
    let mut known = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let (start, end) = (&way[0], &way[way.len() - 1]);
        if start == end {
            return Some(way);
        }
        let is_new = known.insert([start.clone(), end.clone()]);
        let next = edges.keys().filter(|edge| is_new && edge[0] == *end);
        ways.extend(next.map(|edge| [&way[..], &edge[1..]].concat()));
    }
    None
}

fn is_in(file: &str, rooms: &str) -> bool {
    let within = |room| file.strip_prefix("src/")?.strip_prefix(room);
    let mut rests = rooms.split(' ').filter_map(within);
    rests.any(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn violations(laws: &[(&str, &str, &str)], edges: &Edges) -> Vec<String> {
    let violation = |(edge, names): (&Vec<String>, &BTreeSet<String>)| {
        let (user, file) = (&edge[0], &edge[1]);
        let (rooms, law, reason) = laws.iter().find(|law| is_in(user, law.0))?;
        let is_own = |room| is_in(user, room) && is_in(file, room);
        let breaks = is_in(file, law) == law.starts_with("never") && !rooms.split(' ').any(is_own);
        breaks.then(|| format!("{user} → {file} {names:?}: {reason}"))
    };
    edges.iter().filter_map(violation).collect()
}

fn texts(folder: &Path) -> Sources {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let texts = paths.flat_map(|path| match fs::read_to_string(&path) {
        Ok(text) => Sources::from([(path.display().to_string(), text)]),
        Err(_) => texts(&path),
    });
    texts.filter(|(file, _)| file.contains(".rs")).collect()
}

#[test]
fn files_form_no_circle() {
    let edges = House::edges(texts("src".as_ref()));
    let circle = circle(&edges).unwrap_or_default();
    let arrow = |edge| format!("{} {:?}", <[_]>::join(edge, " → "), edges[edge]);
    let arrows: Vec<_> = circle.windows(2).map(arrow).collect();
    assert!(arrows.is_empty(), "\n{}", arrows.join("\n"));
}

#[test]
fn rooms_keep_the_laws() {
    let sources = texts("src".as_ref());
    for (rooms, law, _) in LAWS {
        for room in rooms.split(' ').chain(law.split(' ')) {
            let is_there = sources.keys().any(|file| is_in(file, room));
            assert!(is_there || ["never", "only"].contains(&room), "no {room}");
        }
    }
    let violations = violations(LAWS, &House::edges(sources));
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn crates_of_aws_are_named_in_one_room() {
    for (file, text) in texts("src".as_ref()) {
        for path in paths(text.parse().expect("Rust"), "") {
            let mut names = path.split("::").filter(|name| name.starts_with("aws_"));
            let is_fit = is_in(&file, "aws") || names.all(|name| name == "aws_cli");
            assert!(is_fit, "{file} names {path}");
        }
    }
}

/// Returns the edges of a crate in which `a` knows `b`, and the face of `x` and `y` re-exports `A` and `X`.
fn edges(b: &str, x: &str) -> Edges {
    let face = "mod x; mod y; pub use {crate::a::A as Z, x::X}; pub struct Own;";
    let files = [("a.rs", "use crate::b::B;"), ("b.rs", b), ("lib.rs", "")];
    let faces = [("face/mod.rs", face), ("face/x.rs", x), ("face/y.rs", "")];
    let files = files.into_iter().chain(faces);
    let files = files.map(|(file, text)| (format!("src/{file}"), text.to_owned()));
    House::edges(files.collect())
}

#[test]
fn a_circle_is_found_however_its_paths_are_written() {
    #[rustfmt::skip]
    let cases = [
        (3, "use cognito_unlink::{c, a::{self as x, A}};", ""),
        (3, "use super::a; fn f(x: u8) -> a::A { x as u16 }", ""),
        (3, "use {crate::{a as z}}; fn f() { println!(\"{}\", z::A); }", ""),
        (3, "#[derive(Clone)] struct S { #[arg(default = crate::a::A)] s: u8 }", ""),
        (3, "fn f() { use crate::a::*; }", ""),
        (3, "use crate::face::Z;", ""),
        (4, "use crate::face::X; use a::A;", "use crate::a::A;"),
        (3, "", "use super::Own;"),
        (0, "use crate::{a, face::X}; pub(in crate::a) fn f() {} use clap; use clap::A;", "use super::{super::face::y::Y, y};"),
        (0, "#[cfg(test)] use crate::a::A;", "#[cfg(test)] mod t { use super::super::Own; }"),
    ];
    for (length, b, x) in cases {
        let circle = circle(&edges(b, x)).unwrap_or_default();
        assert_eq!(circle.len(), length, "{b} {x}: {circle:?}");
    }
}

#[test]
fn a_broken_law_is_found() {
    let edges = edges("", "use crate::{face::y::Y, b::B};");
    for (law, broken) in [("only", 2), ("only b face", 0), ("never a face/y", 1)] {
        let laws = [("face/x", law, ""), ("b face", "never a b", "")];
        assert_eq!(violations(&laws, &edges).len(), broken + 1, "{law}");
    }
}
