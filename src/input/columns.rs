//! Which column or key is which field, and which is carried.

use super::error::{Columns, HeaderFault, Wanted};
use super::{Fill, Found, Settings};
use crate::row::{Carried, Field, Link, RowError, RowErrorCode, UnusualPolicy, fold_name};

/// Number of fields: places below it are fields, in the order of [`Field::ALL`]; the carried columns follow.
pub(crate) const FIELDS: usize = Field::ALL.len();

/// How well a name matches. A better match goes before a worse one; two of the same kind contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    /// But for case, `_`, `-` and spaces.
    Folded,
    /// To the letter.
    Exact,
}

/// A column or key that is looked for.
pub(crate) struct Sought {
    pub(crate) wanted: Wanted,
    folded: String,
}

impl Sought {
    fn new(wanted: Wanted) -> Self {
        let folded = fold_name(match &wanted {
            Wanted::Field(field) => field.name(),
            Wanted::Mapped(_, column) | Wanted::Carried(column) => column,
        });
        Self { wanted, folded }
    }

    /// How `name` matches. The four names of fields have no exact spelling: every one is as good.
    pub(crate) fn matches(&self, name: &str, name_folded: &str) -> Option<Match> {
        match &self.wanted {
            Wanted::Mapped(_, column) | Wanted::Carried(column) if column == name => {
                Some(Match::Exact)
            }
            _ if self.folded == name_folded => Some(Match::Folded),
            _ => None,
        }
    }

    /// As it is called in a fault.
    pub(crate) fn name(&self) -> &str {
        match &self.wanted {
            Wanted::Field(field) | Wanted::Mapped(field, _) => field.name(),
            Wanted::Carried(column) => column,
        }
    }
}

/// What is looked for: the four fields, then the carried columns.
pub(crate) fn sought(settings: &Settings) -> Vec<Sought> {
    let fields = Field::ALL.into_iter().map(|field| {
        let mapped = settings.map.iter().find(|(mapped, _)| *mapped == field);
        mapped.map_or(Wanted::Field(field), |(_, column)| {
            Wanted::Mapped(field, column.clone())
        })
    });
    let carried = settings.carry.iter().cloned().map(Wanted::Carried);
    fields.chain(carried).map(Sought::new).collect()
}

/// Where in a CSV record everything stands.
pub(crate) struct Layout {
    /// Number of columns.
    pub(crate) width: usize,
    /// The column of all that is looked for; none for a field that is filled.
    at: Vec<(Sought, Option<usize>)>,
}

impl Layout {
    /// Finds what is looked for among `names`.
    pub(crate) fn new(names: Vec<String>, settings: &Settings) -> Result<Self, HeaderFault> {
        if names.iter().any(|name| is_data(name)) {
            return Err(HeaderFault::NotAHeader);
        }
        let folded: Vec<String> = names.iter().map(|name| fold_name(name)).collect();
        let mut at = Vec::new();
        let mut lacks = Vec::new();
        for sought in sought(settings) {
            let matches = |i: usize| sought.matches(&names[i], &folded[i]);
            let best = (0..names.len()).filter_map(matches).max();
            let mut hits = (0..names.len()).filter(|&i| best.is_some() && matches(i) == best);
            let hit = hits.next();
            if hits.next().is_some() {
                return Err(HeaderFault::Twice(sought.wanted));
            }
            let filled = match &sought.wanted {
                Wanted::Field(field) => settings.fill.value(*field).is_some(),
                Wanted::Mapped(..) | Wanted::Carried(_) => false,
            };
            if hit.is_none() && !filled {
                lacks.push(sought.wanted.clone());
            }
            at.push((sought, hit));
        }
        if !lacks.is_empty() {
            let is_known = at.iter().any(|(_, hit)| hit.is_some());
            return Err(HeaderFault::Lacks(lacks, Columns { names, is_known }));
        }
        Ok(Self {
            width: names.len(),
            at,
        })
    }

    /// Takes a row from its fields. `field` gives them by column, as far as there are any.
    pub(crate) fn pick<'a>(&self, field: impl Fn(usize) -> Option<&'a [u8]>) -> Found {
        let mut fault = None;
        let mut text = |place: usize| {
            let (sought, column) = &self.at[place];
            let bytes = field((*column)?)?;
            let text = str::from_utf8(bytes);
            if text.is_err() {
                fault.get_or_insert_with(|| {
                    RowError::new(
                        RowErrorCode::BadUtf8,
                        format!("{} is not valid UTF-8", sought.name()),
                    )
                });
            }
            text.ok().map(str::to_owned)
        };
        let mut link = Link::default();
        for (place, field) in Field::ALL.into_iter().enumerate() {
            *link.get_mut(field) = text(place).unwrap_or_default();
        }
        let carried = (FIELDS..self.at.len())
            .map(|place| text(place).map_or(Carried::Absent, Carried::Text))
            .collect();
        Found {
            link,
            carried,
            fault,
        }
    }

    /// The values of the four fields after filling, as they stand; none if one contradicts what would fill it.
    pub(crate) fn values<'a>(
        &self,
        fill: &'a Fill,
        field: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> Option<[&'a [u8]; FIELDS]> {
        let mut values: [&[u8]; FIELDS] = [b""; FIELDS];
        for (place, of) in Field::ALL.into_iter().enumerate() {
            let (_, column) = self.at[place];
            let own = column.and_then(&field).unwrap_or_default();
            values[place] = match fill.value(of) {
                Some(value) if own.is_empty() => value.as_bytes(),
                Some(value) if own != value.as_bytes() => return None,
                _ => own,
            };
        }
        Some(values)
    }

    /// Whether these fields, taken alone, are a whole row that could be called.
    pub(crate) fn is_row<'a>(
        &self,
        fill: &Fill,
        field: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> bool {
        let Found {
            mut link, fault, ..
        } = self.pick(field);
        // A row that contradicts an option is a row all the same.
        let _conflict = fill.complete(&mut link);
        fault.is_none() && link.check(UnusualPolicy::ALLOW_ALL).is_ok()
    }
}

/// Whether the name of a column holds an id or is the beginning of a JSON object: a row stands where the header should.
fn is_data(name: &str) -> bool {
    let is_id = |piece: &str| {
        piece.split_once(':').is_some_and(|(region, guid)| {
            !region.is_empty()
                && guid.len() >= 8
                && guid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        })
    };
    name.starts_with('{')
        || name
            .split([',', ';', '\t', '|', ' ', '\"', '\n'])
            .any(is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str =
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier";

    fn layout(
        header: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Vec<Option<usize>>, HeaderFault> {
        let mut settings = Settings::default();
        change(&mut settings);
        let names = header.split(',').map(str::to_owned).collect();
        Layout::new(names, &settings).map(|layout| layout.at.iter().map(|&(_, at)| at).collect())
    }

    fn map(field: Field, column: &str) -> impl FnOnce(&mut Settings) {
        move |settings| settings.map.push((field, column.to_owned()))
    }

    #[test]
    fn columns_are_found() {
        let some = |at: &[usize]| Ok(at.iter().copied().map(Some).collect());
        assert_eq!(layout(ALL, |_| ()), some(&[0, 1, 2, 3]));
        assert_eq!(
            layout(
                "x,Developer User-Identifier,DEVELOPERPROVIDERNAME,identity-pool-id,IdentityId",
                |_| ()
            ),
            some(&[4, 3, 2, 1])
        );
        // Filled fields may be absent, or present.
        let fill = |settings: &mut Settings| {
            settings.fill.identity_pool_id = Some("p".into());
            settings.fill.developer_provider_name = Some("d".into());
        };
        assert_eq!(
            layout("identity_id,developer_user_identifier", fill),
            Ok(vec![Some(0), None, None, Some(1)])
        );
        assert_eq!(layout(ALL, fill), some(&[0, 1, 2, 3]));
        // A mapped or carried column: to the letter first, then folded.
        let user = Field::DeveloperUserIdentifier;
        assert_eq!(
            layout(&format!("{ALL},User,user"), map(user, "user")),
            some(&[0, 1, 2, 5])
        );
        assert_eq!(
            layout(&format!("{ALL},User"), map(user, "u-s_e r")),
            some(&[0, 1, 2, 4])
        );
        assert_eq!(
            layout(
                &format!("{ALL},Identity_Id"),
                map(Field::IdentityId, "Identity_Id")
            ),
            some(&[4, 1, 2, 3])
        );
        let carry = |settings: &mut Settings| {
            settings.carry = vec!["t".into(), "U".into(), "IdentityId".into()];
        };
        assert_eq!(
            layout(&format!("{ALL},T,t,u"), carry),
            some(&[0, 1, 2, 3, 5, 6, 0])
        );
    }

    #[test]
    fn columns_are_missing_or_there_twice() {
        let user = Field::DeveloperUserIdentifier;
        let lack = |wanted: Vec<Wanted>, header: &str, is_known| {
            let names = header.split(',').map(str::to_owned).collect();
            Err(HeaderFault::Lacks(wanted, Columns { names, is_known }))
        };
        let lacks = |wanted, header: &str| lack(vec![wanted], header, true);
        let twice = |wanted| Err(HeaderFault::Twice(wanted));
        assert_eq!(
            layout("id,pool", |_| ()),
            lack(Field::ALL.map(Wanted::Field).to_vec(), "id,pool", false)
        );
        assert_eq!(
            layout(ALL, map(user, "who")),
            lacks(Wanted::Mapped(user, "who".into()), ALL)
        );
        assert_eq!(
            layout(ALL, |settings| settings.carry.push("t".into())),
            lacks(Wanted::Carried("t".into()), ALL)
        );
        assert_eq!(
            layout(&format!("{ALL},IdentityId"), |_| ()),
            twice(Wanted::Field(Field::IdentityId))
        );
        // Also one that an option fills.
        assert_eq!(
            layout(&format!("{ALL},IdentityPoolId"), |settings| {
                settings.fill.identity_pool_id = Some("p".into());
            }),
            twice(Wanted::Field(Field::IdentityPoolId))
        );
        assert_eq!(
            layout(&format!("{ALL},User,USER"), map(user, "user")),
            twice(Wanted::Mapped(user, "user".into()))
        );
        assert_eq!(
            layout(&format!("{ALL},t,t"), |settings| settings
                .carry
                .push("t".into())),
            twice(Wanted::Carried("t".into()))
        );
    }

    #[test]
    fn a_row_is_no_header() {
        for header in [
            "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0,p,d,alice",
            "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0;p;d;alice",
            r#"{"developer_user_identifier":"alice"}"#,
        ] {
            assert_eq!(
                layout(header, |_| ()),
                Err(HeaderFault::NotAHeader),
                "{header}"
            );
        }
    }
}
