//! The rows of a world, as its input has them and as the segments do.

use cognito_unlink::testing::emulator::Link;
use cognito_unlink::testing::row::Keyer;
use fastrand::Rng;

use crate::rows::{POOL, PROVIDER, Row};

use super::segments::Segment;

/// Rows of a world.
const ROWS: usize = 320;

/// Returns rows of which some share identities and some do not exist.
pub(super) fn rows(rng: &mut Rng) -> Vec<Row> {
    (0..ROWS)
        .map(|n| {
            let identity = if rng.u8(..10) == 0 { n % 5 } else { 5 + n };
            Row {
                link: Link {
                    identity_id: format!("us-east-1:00000000-0000-4000-8000-{identity:012x}"),
                    identity_pool_id: POOL.to_owned(),
                    developer_provider_name: PROVIDER.to_owned(),
                    developer_user_identifier: format!("acct-{n}"),
                },
                existed: rng.u8(..100) < 95,
            }
        })
        .collect()
}

/// Returns the input.
pub(super) fn input(rows: &[Row]) -> String {
    let header = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n";
    let row = |Row { link, .. }: &Row| {
        let (identity, user) = (&link.identity_id, &link.developer_user_identifier);
        format!("{identity},{POOL},{PROVIDER},{user}\n")
    };
    rows.iter()
        .map(row)
        .fold(header.to_owned(), |text, row| text + &row)
}

/// Returns the function that makes a row's key as the segments have it: a hash under the key that every fence names.
pub(super) fn row_keys(segments: &[Segment]) -> Result<impl Fn(&Row) -> String + use<>, String> {
    let mut keys: Vec<_> = segments.iter().filter_map(|it| it.fence.as_ref()).collect();
    keys.dedup();
    let [key] = keys[..] else {
        return Err(format!("the fences have the keys {keys:?}"));
    };
    let key = u128::from_str_radix(key, 16).map_err(|error| format!("{key}: {error}"))?;
    let keyer = Keyer::new(key.to_be_bytes());
    let hash = move |row: &Row| {
        let link = &row.link;
        let fields = [
            &link.identity_id,
            &link.identity_pool_id,
            &link.developer_provider_name,
            &link.developer_user_identifier,
        ];
        format!("{:032x}", keyer.key_of(fields.map(String::as_bytes)).0)
    };
    Ok(hash)
}
