//! Columns that the options request.

use super::read_options::ReadOptions;
use crate::row::{Field, fold_name};

/// A requested column, by its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedColumn {
    /// Every row needs this field.
    Field(Field),
    /// `--map` names this column for this field.
    Mapped(Field, String),
    /// `--carry` names this column.
    Carried(String),
}

impl RequestedColumn {
    /// Returns the name that the column is to have.
    pub(crate) fn column(&self) -> &str {
        match self {
            Self::Field(field) => field.name(),
            Self::Mapped(_, column) | Self::Carried(column) => column,
        }
    }

    /// Returns the name by which messages call the value.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Field(field) | Self::Mapped(field, _) => field.name(),
            Self::Carried(column) => column,
        }
    }
}

/// The quality of a match between names. A better match wins; two of the same quality contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MatchQuality {
    /// Equal but for case, `_`, `-` and spaces.
    Folded,
    /// Equal to the letter.
    Exact,
}

/// Compares names with a requested column.
pub(crate) struct ColumnMatcher {
    pub(crate) requested: RequestedColumn,
    folded: String,
}

impl ColumnMatcher {
    fn new(requested: RequestedColumn) -> Self {
        let folded = fold_name(requested.column());
        Self { requested, folded }
    }

    /// Returns the matchers of all requested columns: the four fields in the order of [`Field::ALL`], then the carried columns.
    pub(crate) fn all(options: &ReadOptions) -> Vec<Self> {
        let fields = Field::ALL.into_iter().map(|field| {
            let mapped = options.map.iter().find(|(mapped, _)| *mapped == field);
            mapped.map_or(RequestedColumn::Field(field), |(_, column)| {
                RequestedColumn::Mapped(field, column.clone())
            })
        });
        let carried = options.carry.iter().cloned().map(RequestedColumn::Carried);
        fields.chain(carried).map(Self::new).collect()
    }

    /// Compares `name`, which folds to `folded`. The names of the four fields have no exact spelling: all are equally good.
    pub(crate) fn compare(&self, name: &str, folded: &str) -> Option<MatchQuality> {
        match &self.requested {
            RequestedColumn::Mapped(_, column) | RequestedColumn::Carried(column)
                if column == name =>
            {
                Some(MatchQuality::Exact)
            }
            _ if self.folded == folded => Some(MatchQuality::Folded),
            _ => None,
        }
    }
}
