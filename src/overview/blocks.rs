//! The blocks that the page is built of.

use indicatif::HumanCount;
use maud::{Markup, html};

/// Most rows of a table: more make the page large, and no one reads them.
pub(super) const MOST_ROWS: usize = 40;
/// Most characters of a text that a file or a service has supplied.
pub(super) const MOST_TEXT: usize = 240;

pub(super) fn figure(title: &str, note: &str, plot: &Markup) -> Markup {
    html! {
        figure {
            figcaption { b { (title) } span { (note) } }
            (plot)
        }
    }
}

pub(super) fn tile(class: &str, number: &str, what: &str) -> Markup {
    html! {
        li class=(class) { b { (number) } span { (what) } }
    }
}

/// Returns a table that scrolls inside itself. Columns whose names begin with `#` are numbers.
pub(super) fn table(label: &str, columns: &[&str], rows: &Markup) -> Markup {
    html! {
        section class="wide" aria-label=(label) tabindex="0" {
            table {
                thead {
                    tr {
                        @for name in columns {
                            @match name.strip_prefix('#') {
                                Some(name) => { th class="n" scope="col" { (name) } }
                                None => { th scope="col" { (name) } }
                            }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// Returns the row that tells of the rows that a table leaves out.
pub(super) fn others(all: usize, columns: usize) -> Markup {
    html! {
        @if all > MOST_ROWS {
            tr { td class="soft" colspan=(columns) { (HumanCount((all - MOST_ROWS) as u64)) " more; " code { "--json" } " has them" } }
        }
    }
}

pub(super) fn swatch(class: &str) -> Markup {
    html! {
        span class="swatch" {
            svg viewBox="0 0 8 8" aria-hidden="true" { rect class=(format!("area {class}")) width="8" height="8" rx="1.5" {} }
        }
    }
}

pub(super) fn percent(part: u64, all: u64) -> String {
    if all == 0 {
        return "–".to_owned();
    }
    let share = part as f64 / all as f64 * 100.0;
    // Neither all nor none is said of less.
    match share {
        _ if part == all => "100 %".to_owned(),
        _ if part == 0 => "0 %".to_owned(),
        share if share > 99.9 => "> 99.9 %".to_owned(),
        share if share < 0.1 => "< 0.1 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}

pub(super) fn cut(text: &str) -> String {
    cut_to(text, MOST_TEXT)
}

/// Returns a text of a bounded length, without characters that hide or reorder others.
pub(super) fn cut_to(text: &str, most: usize) -> String {
    let text = crate::terminal::printable(text);
    if text.chars().count() <= most {
        return text.into_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
