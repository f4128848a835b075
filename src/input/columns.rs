//! The columns of a CSV file: which is which field, and which is carried.

use super::fill::Fill;
use super::header_error::{ActualColumns, HeaderError};
use super::parsed_row::ParsedRow;
use super::read_options::ReadOptions;
use super::requested_column::{ColumnMatcher, RequestedColumn};
use crate::row::{
    Carried, Field, Link, Required, RowError, RowErrorCode, UnusualPolicy, fold_name,
};

/// The column of each value in a CSV record.
pub(crate) struct ColumnLayout {
    /// Number of columns.
    pub(crate) width: usize,
    /// The requested columns, first the fields in the order of [`Field::ALL`], each with its index in a record; none if options fill it.
    columns: Vec<(ColumnMatcher, Option<usize>)>,
    required: Required,
}

impl ColumnLayout {
    /// Finds the requested columns among `names`.
    pub(crate) fn new(names: Vec<String>, options: &ReadOptions) -> Result<Self, HeaderError> {
        if names.iter().any(|name| is_data(name)) {
            return Err(HeaderError::NotAHeader);
        }
        let folded: Vec<String> = names.iter().map(|name| fold_name(name)).collect();
        let mut columns = Vec::new();
        let mut missing = Vec::new();
        for matcher in ColumnMatcher::all(options) {
            let compare = |i: usize| matcher.compare(&names[i], &folded[i]);
            let best = (0..names.len()).filter_map(compare).max();
            let mut hits = (0..names.len()).filter(|&i| best.is_some() && compare(i) == best);
            let hit = hits.next();
            if hits.next().is_some() {
                return Err(HeaderError::DuplicateColumn(matcher.requested));
            }
            let is_filled = match &matcher.requested {
                RequestedColumn::Field(field) => options.fill.value(*field).is_some(),
                RequestedColumn::Mapped(..) | RequestedColumn::Carried(_) => false,
            };
            if hit.is_none() && !is_filled {
                missing.push(matcher.requested.clone());
            }
            columns.push((matcher, hit));
        }
        if options.required == Required::LookupKey {
            let has = |field: Field| columns[field as usize].1.is_some();
            let has_key = has(Field::IdentityId) || has(Field::DeveloperUserIdentifier);
            missing.retain(|requested| match requested {
                RequestedColumn::Field(Field::DeveloperProviderName) => false,
                RequestedColumn::Field(Field::IdentityId | Field::DeveloperUserIdentifier) => {
                    !has_key
                }
                _ => true,
            });
        }
        if !missing.is_empty() {
            let is_known = columns.iter().any(|(_, hit)| hit.is_some());
            return Err(HeaderError::MissingColumns(
                missing,
                ActualColumns { names, is_known },
            ));
        }
        Ok(Self {
            width: names.len(),
            columns,
            required: options.required,
        })
    }

    /// Builds a row. `field` returns the fields of a record by column, as far as it has them.
    pub(crate) fn parse<'a>(&self, field: impl Fn(usize) -> Option<&'a [u8]>) -> ParsedRow {
        let mut error = None;
        let mut text = |(matcher, column): &(ColumnMatcher, Option<usize>)| {
            let text = str::from_utf8(field((*column)?)?);
            if text.is_err() {
                error.get_or_insert_with(|| {
                    RowError::new(
                        RowErrorCode::BadUtf8,
                        format!("{} is not valid UTF-8", matcher.requested.name()),
                    )
                });
            }
            text.ok().map(str::to_owned)
        };
        let (fields, carried) = self.columns.split_at(Field::ALL.len());
        let mut link = Link::default();
        for (field, column) in Field::ALL.into_iter().zip(fields) {
            *link.get_mut(field) = text(column).unwrap_or_default();
        }
        let carried = carried
            .iter()
            .map(|column| text(column).map_or(Carried::Absent, Carried::Text))
            .collect();
        ParsedRow {
            link,
            carried,
            error,
        }
    }

    /// Returns the values of the four fields after filling; `None` if one conflicts with the option that would fill it.
    pub(crate) fn field_values<'a>(
        &self,
        fill: &'a Fill,
        field: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> Option<[&'a [u8]; Field::ALL.len()]> {
        let mut values: [&[u8]; Field::ALL.len()] = [b""; Field::ALL.len()];
        let columns = Field::ALL.into_iter().zip(&self.columns);
        for (value, (of, (_, column))) in values.iter_mut().zip(columns) {
            let own = column.and_then(&field).unwrap_or_default();
            *value = match fill.value(of) {
                Some(value) if own.is_empty() => value.as_bytes(),
                Some(value) if own != value.as_bytes() => return None,
                _ => own,
            };
        }
        Some(values)
    }

    /// Returns whether these fields, taken alone, are a whole row that could be sent.
    pub(crate) fn is_row<'a>(
        &self,
        fill: &Fill,
        field: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> bool {
        let ParsedRow {
            mut link, error, ..
        } = self.parse(field);
        // A row that conflicts with an option still is a row.
        let _conflict = fill.complete(&mut link);
        error.is_none() && link.check(self.required, UnusualPolicy::ALLOW_ALL).is_ok()
    }
}

/// Returns whether the name of a column holds an id or begins a JSON object: a row stands where the header should.
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
        change: impl FnOnce(&mut ReadOptions),
    ) -> Result<Vec<Option<usize>>, HeaderError> {
        let mut options = ReadOptions::default();
        change(&mut options);
        let names = header.split(',').map(str::to_owned).collect();
        ColumnLayout::new(names, &options)
            .map(|layout| layout.columns.iter().map(|&(_, index)| index).collect())
    }

    fn map(field: Field, column: &str) -> impl FnOnce(&mut ReadOptions) {
        move |options| options.map.push((field, column.to_owned()))
    }

    #[test]
    fn requested_columns_are_found() {
        let some = |at: &[usize]| Ok(at.iter().copied().map(Some).collect());
        assert_eq!(layout(ALL, |_| ()), some(&[0, 1, 2, 3]));
        assert_eq!(
            layout(
                "x,Developer User-Identifier,DEVELOPERPROVIDERNAME,identity-pool-id,IdentityId",
                |_| ()
            ),
            some(&[4, 3, 2, 1])
        );
        // Filled fields may be absent or present.
        let fill = |options: &mut ReadOptions| {
            options.fill.identity_pool_id = Some("p".into());
            options.fill.developer_provider_name = Some("d".into());
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
        let carry = |options: &mut ReadOptions| {
            options.carry = vec!["t".into(), "U".into(), "IdentityId".into()];
        };
        assert_eq!(
            layout(&format!("{ALL},T,t,u"), carry),
            some(&[0, 1, 2, 3, 5, 6, 0])
        );
    }

    #[test]
    fn missing_and_duplicate_columns_are_errors() {
        let user = Field::DeveloperUserIdentifier;
        let lack = |requested: Vec<RequestedColumn>, header: &str, is_known| {
            let names = header.split(',').map(str::to_owned).collect();
            Err(HeaderError::MissingColumns(
                requested,
                ActualColumns { names, is_known },
            ))
        };
        let lacks = |requested, header: &str| lack(vec![requested], header, true);
        let twice = |requested| Err(HeaderError::DuplicateColumn(requested));
        assert_eq!(
            layout("id,pool", |_| ()),
            lack(
                Field::ALL.map(RequestedColumn::Field).to_vec(),
                "id,pool",
                false
            )
        );
        assert_eq!(
            layout(ALL, map(user, "who")),
            lacks(RequestedColumn::Mapped(user, "who".into()), ALL)
        );
        assert_eq!(
            layout(ALL, |options| options.carry.push("t".into())),
            lacks(RequestedColumn::Carried("t".into()), ALL)
        );
        assert_eq!(
            layout(&format!("{ALL},IdentityId"), |_| ()),
            twice(RequestedColumn::Field(Field::IdentityId))
        );
        // A column that an option fills as well.
        assert_eq!(
            layout(&format!("{ALL},IdentityPoolId"), |options| {
                options.fill.identity_pool_id = Some("p".into());
            }),
            twice(RequestedColumn::Field(Field::IdentityPoolId))
        );
        assert_eq!(
            layout(&format!("{ALL},User,USER"), map(user, "user")),
            twice(RequestedColumn::Mapped(user, "user".into()))
        );
        assert_eq!(
            layout(&format!("{ALL},t,t"), |options| options
                .carry
                .push("t".into())),
            twice(RequestedColumn::Carried("t".into()))
        );
    }

    #[test]
    fn a_lookup_key_needs_one_column_beside_the_pool() {
        let keys = |options: &mut ReadOptions| options.required = Required::LookupKey;
        assert_eq!(
            layout("identity_pool_id,identity_id", keys),
            Ok(vec![Some(1), Some(0), None, None])
        );
        assert_eq!(
            layout("identity_pool_id,DeveloperUserIdentifier", keys),
            Ok(vec![None, Some(0), None, Some(1)])
        );
        let missing = |header: &str| match layout(header, keys) {
            Err(HeaderError::MissingColumns(columns, _)) => columns,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            missing("identity_pool_id"),
            [Field::IdentityId, Field::DeveloperUserIdentifier].map(RequestedColumn::Field)
        );
        assert_eq!(
            missing("identity_id"),
            [RequestedColumn::Field(Field::IdentityPoolId)]
        );
    }

    #[test]
    fn a_row_is_not_a_header() {
        for header in [
            "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0,p,d,alice",
            "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0;p;d;alice",
            r#"{"developer_user_identifier":"alice"}"#,
        ] {
            assert_eq!(
                layout(header, |_| ()),
                Err(HeaderError::NotAHeader),
                "{header}"
            );
        }
    }
}
