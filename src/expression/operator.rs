//! The operators and the tests of conditions: one table for the compiler, its suggestions and the reference.
//!
//! Each entry carries an example over [`SAMPLE`] and what it gives, which are compiled and compared, so the
//! reference can't say what is not so.

/// What `it` is in the examples of helpers, operators and tests.
pub const SAMPLE: &str =
    r#"{"items":[{"k":"a","v":1},{"k":"b","v":2}],"n":3,"list":["x","y","z"],"data":"to={{who}}"}"#;

/// One way to write something: an operator, or a test of a condition.
#[derive(Debug)]
pub struct Form {
    /// Its key.
    pub name: &'static str,
    /// What else may stand in its map.
    pub with: &'static [&'static str],
    /// What it gives, as a sentence.
    pub about: &'static str,
    /// An example, as YAML.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub gives: &'static str,
}

/// The operators: each is the only one in its map.
pub const OPERATORS: &[Form] = &[
    Form {
        name: "$first",
        with: &[],
        about: "The first that is not empty; a path that selects several offers each in turn.",
        example: "{$first: [$.title, '$.items[*].k', nothing]}",
        gives: "\"a\"",
    },
    Form {
        name: "$if",
        with: &["$then", "$else"],
        about: "One of two; what is left out is null.",
        example: "{$if: '{{gt it.n 2}}', $then: many, $else: few}",
        gives: "\"many\"",
    },
    Form {
        name: "$switch",
        with: &["$default"],
        about: "The case whose key fits: a text or number, several as `a|b`, whole numbers as `10..12` or `21..` (also `1|10..12`), \
                null as `~`; else `$default`.",
        example: "{$switch: $.n, 1|2: few, 3..: many, $default: none}",
        gives: "\"many\"",
    },
    Form {
        name: "$table",
        with: &["key"],
        about: "The row of one of the mapping's `tables`.",
        example: "{$table: letters, key: '$.items[0].k'}",
        gives: "\"alpha\"",
    },
    Form {
        name: "$each",
        with: &["$as", "$do"],
        about: "A list with one result per item; in `$do` the item is `it`, and has the name that `$as` gives.",
        example: "{$each: $.items, $as: item, $do: '{{item.k}}{{@index}}'}",
        gives: "[\"a0\",\"b1\"]",
    },
    Form {
        name: "$flat",
        with: &[],
        about: "A list in which the lists are taken apart, one level.",
        example: "{$flat: [$.list, last]}",
        gives: "[\"x\",\"y\",\"z\",\"last\"]",
    },
    Form {
        name: "$merge",
        with: &[],
        about: "One map of several; of a repeated member the last counts.",
        example: "{$merge: ['$.items[0]', {v: 9}]}",
        gives: "{\"k\":\"a\",\"v\":9}",
    },
    Form {
        name: "$json",
        with: &[],
        about: "The value as JSON text.",
        example: "{$json: '$.items[0]'}",
        gives: "\"{\\\"k\\\":\\\"a\\\",\\\"v\\\":1}\"",
    },
    Form {
        name: "$render",
        with: &["vars", "escape"],
        about: "A template that is channel data, in which only the names of `vars` are known. Their values are \
                escaped as `escape` says: `none`, `query`, `form`, `json`, `xml`, `html`, or a MIME type.",
        example: "{$render: $.data, vars: {who: 'a&b'}, escape: query}",
        gives: "\"to=a%26b\"",
    },
    Form {
        name: "$keep",
        with: &[],
        about: "The value, which stays even where it is empty.",
        example: "{a: {$keep: $.nothing}, b: $.nothing}",
        gives: "{\"a\":null}",
    },
    Form {
        name: "$call",
        with: &["$when", "$on_error"],
        about: "What one of the mapping's `calls` gives; the other keys are its arguments, `arg.NAME` in the call. \
                Where the condition `$when` does not hold no call is made and it is null, where the call fails it is \
                `$on_error`.",
        example: "{$call: greeting, name: Ann}",
        gives: "\"hello Ann\"",
    },
];

/// The tests that a condition may put to a value, besides a value (equal) and a list (one of).
pub const TESTS: &[Form] = &[
    Form {
        name: "is",
        with: &[],
        about: "`present`: there and not empty; `absent`: the contrary.",
        example: "{$.title: {is: absent}}",
        gives: "true",
    },
    Form {
        name: "re",
        with: &[],
        about: "A regular expression finds something in it, in linear time.",
        example: "{'$.list[0]': {re: '^[xyz]$'}}",
        gives: "true",
    },
    Form { name: "lt", with: &[], about: "Less than.", example: "{$.n: {lt: 3}}", gives: "false" },
    Form { name: "le", with: &[], about: "At most.", example: "{$.n: {le: 3}}", gives: "true" },
    Form { name: "gt", with: &[], about: "Greater than.", example: "{$.n: {gt: 2, lt: 5}}", gives: "true" },
    Form { name: "ge", with: &[], about: "At least.", example: "{$.n: {ge: 4}}", gives: "false" },
];
