//! Unusual values: kinds, exceptions, and the fast filter.

use super::*;
use proptest::prelude::*;

fn kind(value: &str) -> Option<UnusualKind> {
    UnusualPolicy::default().rejects(value)
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn every_kind_matches_its_examples() {
    let examples: [(UnusualKind, &[&str]); 5] = [
        (
            UnusualKind::Placeholder,
            &[
                "NULL",
                "null",
                "Null",
                "(null)",
                "<NULL>",
                "[NULL]",
                "\"null\"",
                "'NULL'",
                "None",
                "none",
                "nil",
                "<nil>",
                "undefined",
                "nan",
                "NaN",
                "NaT",
                "NA",
                "<NA>",
                "N/A",
                "n/a",
                r"\N",
                "#N/A",
                "#n/a",
                "#NAME?",
                "#REF!",
                "#DIV/0!",
                "#WERT!",
                "#NV",
                "########",
                "-",
                "----",
                "[object Object]",
                "{}",
                "NULL  ",
                "\u{feff}NULL",
            ],
        ),
        (
            UnusualKind::Float,
            &[
                "1001.0",
                "1001.00",
                "1001.",
                "-1.0",
                "+1.0",
                "4.68769E+17",
                "4.68769e+17",
                "4,68769E+17",
                "1001,0",
                "1e+05",
                "4.68768768833943384E17",
                "1.5e-3",
                "1001.0 ",
            ],
        ),
        (
            UnusualKind::SpreadsheetGuard,
            &[
                "=\"007\"",
                "=\"\"\"",
                "'+4917012345",
                "'=1",
                "'-x",
                "'@alice",
                "'007",
            ],
        ),
        (
            UnusualKind::Invisible,
            &[
                "\u{feff}alice",
                "al\u{200b}ice",
                "alice\u{200e}",
                "a\0",
                "a\tb",
                "a\nb",
                "a\u{7f}",
                "a\u{85}b",
                "co\u{ad}op",
                "a\u{e0061}",
                "\u{202e}a",
                "a\u{2028}b",
                "a\u{fffd}b",
                "a\u{3164}",
                "a\u{fe0f}",
            ],
        ),
        (
            UnusualKind::WhiteSpace,
            &[
                "alice ",
                " alice",
                "alice\u{a0}",
                "\u{3000}alice",
                "\u{2007}alice",
                " ",
            ],
        ),
    ];
    for (expected, values) in examples {
        for value in values {
            assert_eq!(kind(value), Some(expected), "{value:?}");
        }
    }
}

#[test]
fn similar_but_ordinary_identifiers_are_sent() {
    for value in [
        "",
        "alice",
        "user-1",
        "user-0000001@example.com",
        "Nan",
        "Na",
        "nana",
        "nullable",
        "Nonette",
        "Undefined1",
        "468768768833943384",
        "1001",
        "1e5",
        "12e4567",
        "1e-5",
        "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "10.5",
        "1.2.3",
        "10.0.0.1",
        "192.168.0.0",
        "2026.01",
        "1,001",
        "+4917012345",
        "-alice",
        "=alice",
        "=",
        "'t Hooft",
        "'alice'",
        "O'Brien",
        "#alice",
        "#1",
        "#",
        "alice smith",
        "CORP\\alice",
        "CORP\\\\alice",
        "Zoë",
        "山田太郎",
        "alice\u{a0}smith",
        "\\\\server\\alice",
        "@alice",
        "a=b",
        "<alice>",
        "(1)",
        "[a]",
        "\u{1f600}",
        "e\u{301}",
    ] {
        assert_eq!(kind(value), None, "{value:?}");
    }
}

#[test]
fn doubled_backslashes_are_unusual_in_tsv_only() {
    let tsv = UnusualPolicy {
        is_tsv: true,
        ..UnusualPolicy::default()
    };
    assert_eq!(
        tsv.rejects(r"CORP\\alice"),
        Some(UnusualKind::DoubledBackslash)
    );
    assert_eq!(tsv.rejects(r"CORP\alice"), None);
    assert_eq!(kind(r"CORP\\alice"), None);
}

#[test]
fn allowing_one_kind_leaves_the_others_rejected() {
    for kind in UnusualKind::ALL {
        let policy = UnusualPolicy {
            allowed: kind.name().parse().expect("a kind"),
            is_tsv: true,
        };
        for (value, of) in [
            ("NULL", UnusualKind::Placeholder),
            ("1.0", UnusualKind::Float),
            ("'+1", UnusualKind::SpreadsheetGuard),
            (r"a\\b", UnusualKind::DoubledBackslash),
            ("a\u{200b}b", UnusualKind::Invisible),
            ("a ", UnusualKind::WhiteSpace),
        ] {
            assert_eq!(
                policy.rejects(value),
                (of != kind).then_some(of),
                "{value:?} as {kind}"
            );
        }
    }
    let padded = UnusualPolicy {
        allowed: UnusualKind::WhiteSpace.into(),
        is_tsv: false,
    };
    assert_eq!(
        padded.rejects("NULL   "),
        Some(UnusualKind::Placeholder),
        "a padded placeholder is still a placeholder"
    );
    assert!(
        "nulls"
            .parse::<UnusualKinds>()
            .expect_err("no kind")
            .contains("placeholder")
    );
}

/// Strings of pieces that occur in unusual values, and of any text.
fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "NULL",
            "nan",
            "None",
            "#N/A",
            r"\N",
            "\\\\",
            "=\"",
            "\"",
            "'",
            "+",
            "-",
            "1001",
            ".0",
            "E+17",
            " ",
            "\u{a0}",
            "\u{feff}",
            "\u{200b}",
            "\0",
            "\t",
            "#",
            "(",
            ")",
            "alice",
            "u",
            "undefined",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_byte_filter_misses_no_unusual_value(value in value(), is_tsv: bool) {
        let slow = UnusualKind::ALL.into_iter().find(|kind| kind.matches(&value, is_tsv));
        prop_assert_eq!(UnusualPolicy { is_tsv, ..UnusualPolicy::default() }.rejects(&value), slow);
    }

    #[test]
    fn allowing_all_kinds_rejects_nothing(value in value(), is_tsv: bool) {
        prop_assert_eq!(UnusualPolicy { allowed: UnusualKinds::ALL, is_tsv }.rejects(&value), None);
    }

    #[test]
    fn white_space_and_invisible_marks_at_an_end_are_always_rejected(name in "[a-z]{1,8}", mark in prop::sample::select(vec![
        " ", "\u{a0}", "\t", "\u{200b}", "\u{feff}", "\u{202e}", "\u{e0001}", "\0", "\u{3000}",
    ]), at_end: bool) {
        let marked = if at_end { format!("{name}{mark}") } else { format!("{mark}{name}") };
        prop_assert!(kind(&marked).is_some());
    }

    #[test]
    fn floats_are_always_rejected_and_integers_never(number: u64, precision in 1_usize..12) {
        let floats = [format!("{number}.0"), format!("{:?}", 1e16 + number as f64)];
        for float in floats {
            prop_assert_eq!(kind(&float), Some(UnusualKind::Float), "{}", float);
        }
        let excel = format!("{:.precision$e}", number as f64).replace('e', "E+");
        prop_assert_eq!(kind(&excel), Some(UnusualKind::Float), "{}", excel);
        prop_assert_eq!(kind(&number.to_string()), None);
    }
}
