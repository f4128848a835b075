//! What the service model says about parameters, and how AWS words that one breaks it.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::Refused;

/// A shape of the service model.
#[derive(Debug)]
pub(super) enum Shape {
    /// `string`
    Text(Text),
    /// `integer` or `long`, within its range.
    Whole { min: i64, max: i64 },
    /// `boolean`
    Flag,
    /// `list`
    List {
        of: &'static Shape,
        min: usize,
        max: usize,
    },
    /// `map`, whose keys are always strings.
    Map {
        key: &'static Text,
        value: &'static Text,
        max: usize,
    },
    /// `structure`
    Structure(&'static [Member]),
}

/// A `string`: its length in characters, and its pattern.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) pattern: Option<Pattern>,
    /// Whether AWS leaves the value out of its messages.
    pub(super) sensitive: bool,
}

/// A regular expression as the model has it, and the same in code.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) text: &'static str,
    pub(super) matches: fn(&str) -> bool,
}

/// A parameter.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) shape: &'static Shape,
    pub(super) required: bool,
}

/// No bound.
pub(super) const ANY: usize = usize::MAX;

/// Holds `input` against what an operation takes.
///
/// # Errors
/// A value is of another JSON type than its shape, or breaks its rules; all that are broken are told at once.
pub(super) fn check(takes: &[Member], input: &Value) -> Result<(), Refused> {
    let mut broken = Broken::default();
    structure(takes, input, "", &mut broken)?;
    if broken.count == 0 {
        return Ok(());
    }
    let errors = if broken.count == 1 { "error" } else { "errors" };
    Err(Refused::Invalid(format!(
        "{} validation {errors} detected: {}",
        broken.count, broken.told
    )))
}

/// The constraints that did not hold, as AWS tells them.
#[derive(Debug, Default)]
struct Broken {
    count: usize,
    told: String,
}

impl Broken {
    /// `value` is as it stands in the message; nothing for a sensitive one.
    fn add(&mut self, value: Option<&dyn fmt::Display>, at: &str, constraint: &str) {
        self.count += 1;
        if self.count > 1 {
            self.told.push_str("; ");
        }
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(
            self.told,
            "Value{value} at '{at}' failed to satisfy constraint: {constraint}"
        );
    }
}

fn structure(
    members: &[Member],
    value: &Value,
    within: &str,
    broken: &mut Broken,
) -> Result<(), Refused> {
    let object = value
        .as_object()
        .ok_or_else(|| unexpected(value, "a structure"))?;
    for member in members {
        let at = format!("{within}{}", lower_first(member.name));
        match object.get(member.name) {
            None | Some(Value::Null) if member.required => {
                broken.add(Some(&"null"), &at, "Member must not be null");
            }
            None | Some(Value::Null) => {}
            Some(value) => check_value(member.shape, value, &at, broken)?,
        }
    }
    Ok(())
}

fn check_value(shape: &Shape, value: &Value, at: &str, broken: &mut Broken) -> Result<(), Refused> {
    match shape {
        Shape::Text(text) => {
            let value = string(value)?;
            let quoted = format!("'{value}'");
            for constraint in text.broken_by(value) {
                let told: &dyn fmt::Display = &quoted;
                broken.add((!text.sensitive).then_some(told), at, &constraint);
            }
        }
        Shape::Whole { min, max } => {
            let number = value
                .as_i64()
                .ok_or_else(|| unexpected(value, "an Integer"))?;
            let quoted = format!("'{number}'");
            if number > *max {
                let constraint = format!("Member must have value less than or equal to {max}");
                broken.add(Some(&quoted), at, &constraint);
            }
            if number < *min {
                let constraint = format!("Member must have value greater than or equal to {min}");
                broken.add(Some(&quoted), at, &constraint);
            }
        }
        Shape::Flag => {
            if !value.is_boolean() {
                return Err(unexpected(value, "a Boolean"));
            }
        }
        Shape::List { of, min, max } => {
            let items = value
                .as_array()
                .ok_or_else(|| unexpected(value, "a list"))?;
            list(of, items, at, broken)?;
            count(items.len(), *min, *max, &Shown(value), at, broken);
        }
        Shape::Map {
            key,
            value: of,
            max,
        } => {
            let entries = value
                .as_object()
                .ok_or_else(|| unexpected(value, "a map"))?;
            let shown = Shown(value);
            let told: &dyn fmt::Display = &shown;
            let told = (!of.sensitive).then_some(told);
            for (name, entry) in entries {
                let wrong = key.broken_by(name).join(", ");
                if !wrong.is_empty() {
                    let constraint = format!("Map keys must satisfy constraint: [{wrong}]");
                    broken.add(told, at, &constraint);
                }
                let wrong = match entry {
                    Value::Null => "Member must not be null".to_owned(),
                    entry => of.broken_by(string(entry)?).join(", "),
                };
                if !wrong.is_empty() {
                    let constraint = format!("Map value must satisfy constraint: [{wrong}]");
                    broken.add(told, at, &constraint);
                }
            }
            if entries.len() > *max {
                let constraint = format!("Member must have length less than or equal to {max}");
                broken.add(told, at, &constraint);
            }
        }
        Shape::Structure(members) => structure(members, value, &format!("{at}."), broken)?,
    }
    Ok(())
}

fn list(of: &Shape, items: &[Value], at: &str, broken: &mut Broken) -> Result<(), Refused> {
    for (nth, item) in (1..).zip(items) {
        match (of, item) {
            (_, Value::Null) => {
                let at = format!("{at}.{nth}.member");
                broken.add(Some(&"null"), &at, "Member must not be null");
            }
            (Shape::Text(text), item) => {
                let wrong = text.broken_by(string(item)?).join(", ");
                if !wrong.is_empty() {
                    let constraint = format!("Member must satisfy constraint: [{wrong}]");
                    let all = Value::Array(items.to_vec());
                    broken.add(Some(&Shown(&all)), at, &constraint);
                }
            }
            (of, item) => check_value(of, item, &format!("{at}.{nth}.member"), broken)?,
        }
    }
    Ok(())
}

fn count(length: usize, min: usize, max: usize, shown: &Shown<'_>, at: &str, broken: &mut Broken) {
    if length > max {
        let constraint = format!("Member must have length less than or equal to {max}");
        broken.add(Some(shown), at, &constraint);
    }
    if length < min {
        let constraint = format!("Member must have length greater than or equal to {min}");
        broken.add(Some(shown), at, &constraint);
    }
}

impl Text {
    fn broken_by(&self, value: &str) -> Vec<String> {
        // No character takes less than a byte, so what is short enough in bytes need not be counted.
        let length = if (self.min..=self.max).contains(&value.len()) && value.is_ascii() {
            value.len()
        } else {
            value.chars().count()
        };
        let mut broken = Vec::new();
        if length > self.max {
            broken.push(format!(
                "Member must have length less than or equal to {}",
                self.max
            ));
        }
        if length < self.min {
            broken.push(format!(
                "Member must have length greater than or equal to {}",
                self.min
            ));
        }
        if let Some(pattern) = &self.pattern
            && !(pattern.matches)(value)
        {
            broken.push(format!(
                "Member must satisfy regular expression pattern: {}",
                pattern.text
            ));
        }
        broken
    }
}

/// A list or a map as it stands in messages: `'[a, b]'`, `'{a=b}'`.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.0 {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(plain).collect();
                write!(f, "'[{}]'", items.join(", "))
            }
            Value::Object(entries) => {
                let entries = entries.iter();
                let entries: Vec<String> = entries
                    .map(|(key, value)| format!("{key}={}", plain(value)))
                    .collect();
                write!(f, "'{{{}}}'", entries.join(", "))
            }
            other => write!(f, "'{}'", plain(other)),
        }
    }
}

fn string(value: &Value) -> Result<&str, Refused> {
    value.as_str().ok_or_else(|| unexpected(value, "a String"))
}

/// AWS calls members by the names of its own getters.
fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
    })
}

fn unexpected(value: &Value, expected: &str) -> Refused {
    Refused::Malformed(match value {
        Value::Object(_) => "Start of structure or map found where not expected.".to_owned(),
        Value::Array(_) => "Start of list found where not expected".to_owned(),
        Value::Null => format!("null can not be converted to {expected}"),
        Value::Bool(true) => format!("TRUE_VALUE can not be converted to {expected}"),
        Value::Bool(false) => format!("FALSE_VALUE can not be converted to {expected}"),
        Value::Number(_) => format!("NUMBER_VALUE can not be converted to {expected}"),
        Value::String(_) => format!("STRING_VALUE can not be converted to {expected}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::operation::Operation;
    use super::*;

    fn told(operation: Operation, input: &Value) -> String {
        match check(operation.takes(), input) {
            Ok(()) => String::new(),
            Err(Refused::Invalid(message)) => message,
            Err(Refused::Malformed(message)) => format!("malformed: {message}"),
        }
    }

    #[test]
    fn what_is_broken_is_told_as_aws_does() {
        let unlink = |identity: &str| {
            told(
                Operation::UnlinkDeveloperIdentity,
                &json!({
                    "IdentityId": identity, "IdentityPoolId": "r:0",
                    "DeveloperProviderName": "p", "DeveloperUserIdentifier": "u",
                }),
            )
        };
        assert_eq!(unlink("r:1"), "");
        assert_eq!(
            unlink("r:G"),
            "1 validation error detected: Value 'r:G' at 'identityId' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w-]+:[0-9a-f-]+"
        );
        assert_eq!(
            unlink(""),
            "2 validation errors detected: Value '' at 'identityId' failed to satisfy constraint: \
             Member must have length greater than or equal to 1; Value '' at 'identityId' failed to \
             satisfy constraint: Member must satisfy regular expression pattern: [\\w-]+:[0-9a-f-]+"
        );
        let long = unlink(&format!("r:{}", "0".repeat(54)));
        assert!(long.ends_with("Member must have length less than or equal to 55"));
        let nothing = told(
            Operation::UnlinkDeveloperIdentity,
            &json!({"IdentityId": null}),
        );
        assert!(nothing.starts_with(
            "4 validation errors detected: Value null at 'identityId' failed to satisfy \
             constraint: Member must not be null; Value null at 'identityPoolId'"
        ));
    }

    #[test]
    fn numbers_lists_and_maps_have_bounds() {
        let list = |most: i64| {
            let input = json!({"IdentityPoolId": "r:0", "MaxResults": most});
            told(Operation::ListIdentities, &input)
        };
        assert_eq!((list(1), list(60)), (String::new(), String::new()));
        assert_eq!(
            list(61),
            "1 validation error detected: Value '61' at 'maxResults' failed to satisfy constraint: \
             Member must have value less than or equal to 60"
        );
        assert!(list(0).ends_with("greater than or equal to 1"));

        let delete = |ids: Value| {
            told(
                Operation::DeleteIdentities,
                &json!({"IdentityIdsToDelete": ids}),
            )
        };
        assert!(delete(json!([])).contains("Value '[]' at 'identityIdsToDelete'"));
        assert!(delete(json!(vec!["r:0"; 61])).ends_with("less than or equal to 60"));
        assert!(delete(json!(["r:0", "x"])).contains(
            "Value '[r:0, x]' at 'identityIdsToDelete' failed to satisfy constraint: Member must \
             satisfy constraint: [Member must satisfy regular expression pattern:"
        ));
        assert!(delete(json!([null])).contains("'identityIdsToDelete.1.member'"));

        let token = |logins: Value| {
            told(
                Operation::GetOpenIdTokenForDeveloperIdentity,
                &json!({"IdentityPoolId": "r:0", "Logins": logins}),
            )
        };
        assert_eq!(token(json!({"p": "u"})), "");
        // A login is as good as a password, so its value is not repeated.
        assert!(token(json!({"p": ""})).contains("Value at 'logins' failed"));
        assert!(token(json!({"": "u"})).contains("Map keys must satisfy constraint: ["));
        let many: serde_json::Map<_, _> = (0..11).map(|n| (n.to_string(), json!("u"))).collect();
        assert!(token(many.into()).ends_with("less than or equal to 10"));
    }

    #[test]
    fn structures_within_lists_are_checked() {
        let create = |client: Value| {
            told(
                Operation::CreateIdentityPool,
                &json!({
                    "IdentityPoolName": "n", "AllowUnauthenticatedIdentities": false,
                    "CognitoIdentityProviders": [{"ClientId": "ok"}, {"ClientId": client}],
                }),
            )
        };
        assert_eq!(create(json!("c1")), "");
        assert!(create(json!("c-1")).contains("at 'cognitoIdentityProviders.2.member.clientId'"));
        assert!(create(json!(1)).starts_with("malformed: NUMBER_VALUE"));
    }

    #[test]
    fn another_type_is_no_request() {
        for (input, why) in [
            (json!([]), "Start of list found where not expected"),
            (
                json!({"IdentityPoolId": 1}),
                "NUMBER_VALUE can not be converted to a String",
            ),
            (
                json!({"IdentityPoolId": {}}),
                "Start of structure or map found where not expected.",
            ),
            (
                json!({"IdentityPoolId": "r:0", "MaxResults": "1"}),
                "STRING_VALUE can not be converted to an Integer",
            ),
            (
                json!({"IdentityPoolId": "r:0", "MaxResults": 1, "HideDisabled": 0}),
                "NUMBER_VALUE can not be converted to a Boolean",
            ),
        ] {
            let told = told(Operation::ListIdentities, &input);
            assert_eq!(told, format!("malformed: {why}"));
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let lookup = |user: &str| {
            let input = json!({"IdentityPoolId": "r:0", "DeveloperUserIdentifier": user});
            told(Operation::LookupDeveloperIdentity, &input)
        };
        assert_eq!(lookup(&"é".repeat(1024)), "");
        assert!(lookup(&"é".repeat(1025)).ends_with("less than or equal to 1024"));
    }
}
