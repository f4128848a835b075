//! Output: there is none, but what `--query` makes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jmespath::Variable;
use serde::Serialize as _;
use serde_json::Value;

use super::failed;
use crate::cli::{Expression, Output};
use crate::error::Error;

/// The `JMESPath` expression of `--query`, if there is one.
pub(super) struct Query(pub(super) Option<Expression>);

/// The format of this name.
pub(super) fn named(name: &str) -> Option<Output> {
    match name {
        "json" => Some(Output::Json),
        "text" => Some(Output::Text),
        "table" => Some(Output::Table),
        _ => None,
    }
}

impl Query {
    /// What is printed after a call: the expression's value for an empty output, or nothing.
    ///
    /// # Errors
    /// The expression cannot be applied to it.
    pub(super) fn answer(&self, format: Output) -> Result<String, Error> {
        let Some(expression) = &self.0 else {
            return Ok(String::new());
        };
        let nothing = Variable::Object(BTreeMap::new());
        let found = expression
            .0
            .search(nothing)
            .map_err(|error| failed(error.to_string()))?;
        let found = serde_json::to_value(&*found).map_err(|error| failed(error.to_string()))?;
        if found.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(String::new());
        }
        let mut text = String::new();
        match format {
            Output::Json => text = indented(&found) + "\n",
            Output::Text => write_text(&found, &mut text),
            // Nothing of the output fills one.
            Output::Table => {}
        }
        Ok(text)
    }
}

fn indented(value: &Value) -> String {
    let mut bytes = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, style);
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "memory takes everything");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Scalars with tabs between them, in the words of Python.
fn write_text(value: &Value, text: &mut String) {
    let scalar = |value: &Value| match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let elements: Vec<&Value> = match value {
        Value::Array(elements) => elements.iter().collect(),
        Value::Object(members) => members.values().collect(),
        one => vec![one],
    };
    let (nested, scalars): (Vec<&Value>, Vec<&Value>) = elements
        .into_iter()
        .partition(|value| value.is_array() || value.is_object());
    if !scalars.is_empty() {
        let line: Vec<String> = scalars.into_iter().map(scalar).collect();
        let _ = writeln!(text, "{}", line.join("\t"));
    }
    for value in nested {
        write_text(value, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_empty_whatever_is_asked_of_it() {
        for (query, json, text) in [
            (None, "", ""),
            (Some("@"), "", ""),
            (Some("IdentityId"), "null\n", "None\n"),
            (Some("length(@)"), "0\n", "0\n"),
            (Some("''"), "\"\"\n", "\n"),
            (Some("`[1,true]`"), "[\n    1,\n    true\n]\n", "1\tTrue\n"),
        ] {
            let query = query.map(|text| text.parse().expect("an expression"));
            let query = Query(query);
            let told =
                [Output::Json, Output::Text, Output::Table].map(|format| query.answer(format));
            assert_eq!(told, [Ok(json.into()), Ok(text.into()), Ok(String::new())]);
        }
    }
}
