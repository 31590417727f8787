//! Errors of pipeline files: all errors of a stage at once, each at its place.

use anyhow::Result;

use super::{Diagnostics, LoadContext, load};
use crate::plugin::Registry;

fn read(source: &str) -> Result<crate::pipeline::Pipeline, Diagnostics> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    std::fs::write(&path, source).unwrap();
    let registry = Registry::collect().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let lookup = |name: &str| match name {
        "EMPTY" => Some(String::new()),
        "FIVE" => Some("5".into()),
        "WORD" => Some("secretive".into()),
        _ => None,
    };
    let read = load(&path, &LoadContext { registry: &registry, lookup: &lookup, data_dir });
    read.map_err(|mut errors| {
        errors.path = "p.toml".into();
        errors
    })
}

/// The errors of a file, each as `line:column message`.
#[track_caller]
fn errors(source: &str) -> Vec<String> {
    let Err(errors) = read(source) else { panic!("no error in:\n{source}") };
    let position = |error: &super::Diagnostic| match &error.span {
        None => error.message.clone(),
        Some(span) => {
            let above = &source[..span.start];
            let column = above.len() - above.rfind('\n').map_or(0, |end| end + 1) + 1;
            format!("{}:{column} {}", above.matches('\n').count() + 1, error.message)
        }
    };
    errors.all.iter().map(position).collect()
}

#[track_caller]
fn shown(source: &str) -> String {
    let Err(errors) = read(source) else { panic!("no error in:\n{source}") };
    errors.render(false)
}

/// One source and one sink; `sink` is put after the options of the sink.
fn with_sink(sink: &str) -> String {
    format!(
        "[sources.in]\ntype = \"well\"\n[sinks.out]\ntype = \"bucket\"\ninputs = [\"in\"]\nname = \"n\"\ngroup_id = \"g\"\n{sink}\n"
    )
}

const VALID_SINK: &str = "type = \"bucket\"\nname = \"n\"\ngroup_id = \"g\"\n";

#[test]
fn variable_without_braces_causes_a_warning() {
    let source = with_sink("").replace("group_id = \"g\"", "group_id = \"$GROUP\"");
    let warnings = read(&source).unwrap().warnings.expect("a warning").render(false);
    assert!(warnings.contains(":7:12") && warnings.contains("write `${NAME}`"), "{warnings}");
    assert!(read(&with_sink("")).unwrap().warnings.is_none());
}

#[test]
fn valid_file_is_read() {
    let pipeline = read(&with_sink("pause = \"1s\"\nlock = { kind = \"key\", user = \"u\" }")).unwrap();
    assert_eq!(pipeline.components.len(), 2);
}

#[test]
fn stages_end_at_the_first_with_errors() {
    let other = "[sinks.other]\ntype = \"bucket\"\ninputs = [\"inn\"]\nname = \"\"\ngroup_id = \"g\"\n";
    let build = with_sink("name = \"\"").replace("name = \"n\"\n", "").replace("well\"", "well\"\ndepth = 0");
    let wiring = build.clone() + other;
    let options = wiring.replace("group_id", "pause = 5\ngroup_id");
    let variables = options.clone() + "size = \"${NOWHERE}\"\ntarget = \"${NOWHERE_ELSE}\"\n";
    let syntax = variables.clone() + "[sinks.other\n";
    assert_eq!(errors(&build), ["3:9 `depth`: there is no water", "8:8 `name`: it is empty"]);
    assert_eq!(errors(&wiring), ["11:11 no component is called `inn`"]);
    let pause = |line: usize| {
        format!(
            "{line}:9 `pause` of sink `bucket`: expected a string such as \"250ms\", \"5s\", \"1m30s\", \
             found a whole number"
        )
    };
    assert_eq!(errors(&options), [pause(7), pause(14)]);
    let unset = errors(&variables);
    assert!(unset.len() == 2 && unset[0].contains("NOWHERE is not set"), "{unset:?}");
    let syntax = errors(&syntax);
    assert!(syntax.iter().any(|it| it.contains("unclosed table")), "{syntax:?}");
    assert!(!syntax.iter().any(|it| it.contains("NOWHERE")), "{syntax:?}");
}

#[test]
fn option_error_of_build_is_shown_under_the_value() {
    let text = shown(&with_sink("").replace("name = \"n\"", "name = \"\""));
    assert!(text.contains("6 | name = \"\"\n  |        ^^ in `sinks.out` (bucket)"), "{text}");
    // An option that is missing is shown at its table, or else at the component.
    let found = errors(&with_sink("[sinks.out.lock]\nkind = \"code\"\nuser = \"u\""));
    assert_eq!(found, ["8:12 `lock.password`: a code needs it"]);
    let found = errors(&format!("{}[dead_letter]\n{VALID_SINK}follows = true\n", with_sink("")));
    assert_eq!(found, ["9:2 `target`: nothing in front says where"]);
}

#[test]
fn several_errors_of_one_build_are_shown_at_once() {
    let found = errors(&with_sink("[sinks.out.extras]\na = \"1\"\n\"b.c\" = \"2\""));
    assert_eq!(found, ["9:5 `extras.a`: it is refused", "10:9 `extras.b.c`: it is refused"]);
}

#[test]
fn component_behind_a_failed_sink_is_not_built() {
    let follower = "[sinks.last]\ntype = \"bucket\"\ninputs = [\"out\"]\nname = \"n\"\ngroup_id = \"g\"\nfollows = true\n";
    read(&format!("{}{follower}", with_sink(""))).unwrap();
    let found = errors(&format!("{}{follower}", with_sink("shelves = []")));
    assert_eq!(found, ["8:11 `shelves`: "]);
}

#[test]
fn misspelt_input_does_not_make_its_component_unused() {
    let found = errors(&with_sink("").replace("[\"in\"]", "[\"im\"]"));
    assert_eq!(found, ["5:11 no component is called `im`"]);
    let found = errors(&with_sink("").replace("inputs = [\"in\"]\n", ""));
    assert_eq!(found, ["3:8 sink `out` needs `inputs`"]);
}

#[test]
fn other_name_for_inputs_is_one_error_with_advice() {
    for other in
        ["input = \"in\"", "imputs = [\"in\"]", "from = \"in\"", "source = \"in\"", "Inputs = [\"in\"]"]
    {
        let text = with_sink("").replace("inputs = [\"in\"]", other);
        assert_eq!(errors(&text), ["5:1 sink `out` needs `inputs`"], "{other}");
        assert!(shown(&text).contains("write it as `inputs = [\"NAME\"]`"), "{other}");
    }
    // Options of the plugin have their own errors.
    let text = with_sink("pause = 1").replace("inputs = [\"in\"]", "name_of_input = 1");
    assert_eq!(errors(&text).len(), 3);
    let text = shown(&with_sink("").replace("[\"in\"]", "[\"sources.in\"]"));
    assert!(
        text.contains("no component is called `sources.in`") && text.contains("+ inputs = [\"in\"]"),
        "{text}"
    );
    let text = shown("[sources.in]\ntype = \"well\"\n[sinks]\ntype = \"bucket\"\n");
    assert!(text.contains("write `[sinks.NAME]` above it"), "{text}");
}

#[test]
fn all_missing_options_are_named() {
    let found = errors("[sources.in]\ntype = \"well\"\n[sinks.out]\ntype = \"bucket\"\ninputs = [\"in\"]\n");
    let needs = |name: &str| format!("3:8 sink `bucket` needs the option `{name}`");
    assert_eq!(found, [needs("name"), needs("group_id")]);
    let found = errors(&with_sink("lock = { password = \"p\" }\npause = 1"));
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        found[..2],
        [
            "8:1 table `lock` of sink `bucket` needs the option `kind`",
            "8:1 table `lock` of sink `bucket` needs the option `user`",
        ]
    );
}

#[test]
fn errors_in_a_table_hide_no_others() {
    let source = with_sink("[sinks.out.lock]\nkind = \"kee\"\nuser = 3")
        .replace("[sinks.out.lock]", "size = 7\n[sinks.out.lock]");
    assert_eq!(
        errors(&source),
        [
            "8:8 `size` of sink `bucket`: expected a string such as \"64KiB\", \"10MB\", found a whole number",
            "10:8 invalid value `kee` for `lock.kind`",
            "11:8 `lock.user` of sink `bucket`: expected a string, found a whole number",
        ]
    );
    let found = errors(&with_sink("pair = { left = 1, right = \"2\" }\nsize = 7"));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn value_that_only_its_type_refuses_is_shown_at_its_place() {
    assert_eq!(
        errors(&with_sink("pair = { left = 1 }")),
        ["8:1 `pair` of sink `bucket`: half of it is missing"]
    );
    assert_eq!(
        errors(&with_sink("pause = \"1\"")),
        [
            "8:9 `pause` of sink `bucket`: `1` is not a duration: it needs a unit, as in \"250ms\", \"5s\" or \"1m30s\""
        ]
    );
}

#[test]
fn number_outside_of_its_range_is_an_error() {
    assert_eq!(errors(&with_sink("limit = 65536")), ["8:9 `limit` of sink `bucket` must be at most 65535"]);
    assert_eq!(errors(&with_sink("limit = -0x1")).len(), 1);
    let found = errors(&with_sink("limit = -1"));
    assert_eq!(found, ["8:9 `limit` of sink `bucket` must be at least 0"]);
    let found = errors(&format!("[batch]\nmax_records = 0\n{}", with_sink("")));
    assert_eq!(found, ["2:15 `batch.max_records` of a pipeline file must be at least 1"]);
}

#[test]
fn option_with_alternatives_names_all_of_them() {
    for valid in ["\"flat\"", "[\"flat\", \"deep\"]", "{ rows = 3 }", "\"${NOWHERE:-deep}\""] {
        assert!(read(&with_sink(&format!("layout = {valid}"))).is_ok(), "{valid}");
    }
    assert_eq!(
        errors(&with_sink("layout = 3")),
        [
            "8:10 `layout` of sink `bucket`: expected \"flat\", \"deep\", or a list, or a table, found a whole number"
        ]
    );
    assert_eq!(errors(&with_sink("layout = \"falt\"")), ["8:10 invalid value `falt` for `layout`"]);
    let text = shown(&with_sink("layout = \"falt\""));
    assert!(text.contains("^^^^^^ expected \"flat\", \"deep\", or a list, or a table"), "{text}");
    assert!(text.contains("8 + layout = \"flat\""), "{text}");
    assert_eq!(errors(&with_sink("layout = [\"flat\", \"dep\"]")), ["8:19 invalid value `dep` for `layout`"]);
    let found = errors(&with_sink("layout = { row = 3 }"));
    assert_eq!(
        found,
        [
            "8:1 table `layout` of sink `bucket` needs the option `rows`",
            "8:12 unknown option `row` for table `layout` of sink `bucket`",
        ]
    );
}

#[test]
fn unknown_option_is_shown_with_its_table_and_a_similar_name() {
    let text = shown(&format!("[batch]\nmax_record = 1\n{}", with_sink("")));
    assert!(text.contains("unknown option `max_record` for table `batch` of a pipeline file"), "{text}");
    assert!(text.contains("^^^^^^^^^^ `batch` has no such option"), "{text}");
    let text = shown(&with_sink("lock = { kind = \"key\", user = \"u\", pasword = \"p\" }"));
    assert!(text.contains("unknown option `pasword` for table `lock` of sink `bucket`"), "{text}");
    assert!(
        text.contains("`lock` has no such option") && text.contains("it has: kind, user, password, pin"),
        "{text}"
    );
    assert!(text.contains("a similar name exists") && text.contains("password = ***"), "{text}");
    let text = shown(&with_sink("").replace("[sources.in]", "[source.in]"));
    assert!(text.contains("unknown option `source` for a pipeline file"), "{text}");
    assert!(text.contains("1 | [sources.in]"), "{text}");
}

#[test]
fn dotted_key_is_replaced_as_a_whole() {
    let text = shown(&with_sink("").replace("group_id =", "group.id ="));
    assert!(text.contains("unknown option `group.id` for sink `bucket`"), "{text}");
    assert!(text.contains("+ group_id = ***"), "{text}");
    let text = shown(&with_sink("lok.kind = \"key\""));
    assert!(text.contains("8 | lock.kind = ***"), "{text}");
}

#[test]
fn every_cycle_is_found() {
    let pipe =
        |name: &str, input: &str| format!("[transforms.{name}]\ntype = \"pipe\"\ninputs = [\"{input}\"]\n");
    let source = with_sink("")
        + &pipe("a", "b")
        + &pipe("b", "a")
        + &pipe("c", "d")
        + &pipe("d", "c")
        + &pipe("e", "nowhere");
    let found = errors(&source);
    let cycles: Vec<_> = found.iter().filter(|it| it.contains("form a cycle: ")).collect();
    assert!(cycles.len() == 2 && cycles[0].contains("b -> a -> b"), "{found:?}");
    assert!(found.iter().any(|it| it.contains("no component is called `nowhere`")), "{found:?}");
}

#[test]
fn component_that_is_not_a_table_is_an_error() {
    let source = with_sink("").replace("[sources.in]", "[[sources.in]]");
    assert_eq!(errors(&source), ["1:11 `in` is not a table"]);
    let source = with_sink("pause = 1").replace("sinks.out", "sinks.\"o u t\"");
    let found = errors(&source);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("cannot be the name of a component"), "{found:?}");
    let found = errors(&with_sink("").replace("[sources.in]", "[[sources]]"));
    assert_eq!(found, ["1:3 `sources` is not a table"]);
}

#[test]
fn dead_letter_with_inputs_shows_its_other_errors() {
    let found =
        errors(&format!("{}[dead_letter]\ninputs = [\"in\"]\n{VALID_SINK}pause = 3\n", with_sink("")));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("has no `inputs`") && found[1].contains("`pause` of sink `bucket`"),
        "{found:?}"
    );
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let front = "[batch]\nin_flight = \"0B\"\n[retry]\nmax = \"50ms\"\n";
    let found = errors(&format!("{front}{}", with_sink("")));
    assert_eq!(
        found,
        [
            "2:13 `batch.in_flight`: it must be greater than 0, for example \"32MiB\"",
            "4:7 `retry.max`: the first pause, `retry.initial`, is longer than the longest pause, `retry.max`",
        ]
    );
}

#[test]
fn duplicate_table_or_key_is_an_error_at_its_place() {
    let found = errors(&with_sink("[sources.in] # again\ntype = \"well\""));
    assert!(found.contains(&"8:10 duplicate key".to_owned()), "{found:?}");
    assert_eq!(errors(&with_sink("name = \"m\"")), ["8:1 duplicate key"]);
    assert_eq!(errors(&with_sink("lock = { user = \"u\", user = \"v\" }")), ["8:22 duplicate key"]);
}

#[test]
fn plugin_of_another_kind_is_suggested_with_its_kind() {
    let text = shown(&with_sink("").replace("\"bucket\"", "\"pip\""));
    assert!(text.contains("`pipe` is a transform: its table is `[transforms.NAME]`"), "{text}");
    let text = shown(&with_sink("").replace("\"bucket\"", "\"bukket\""));
    assert!(!text.contains("its table is"), "{text}");
}

#[test]
fn component_knows_the_sources_that_number_its_records() {
    let source = with_sink("is_numbered = true").replace("[\"in\"]", "[\"in\", \"p\"]")
        + "[sources.more]\ntype = \"well\"\n[transforms.p]\ntype = \"pipe\"\ninputs = [\"more\", \"in\"]\n";
    assert_eq!(errors(&source), ["8:15 `is_numbered`: in and more"]);
    let source = with_sink("")
        + "[sources.more]\ntype = \"well\"\n[sinks.rest]\ninputs = [\"more\"]\n"
        + VALID_SINK
        + "[dead_letter]\nis_numbered = true\n"
        + VALID_SINK;
    assert_eq!(errors(&source), ["17:15 `is_numbered`: in and more"]);
}

#[test]
fn variable_becomes_what_the_schema_asks_for() {
    assert!(read(&with_sink("limit = \"${FIVE}\"\nis_numbered = \"${NOWHERE:-false}\"")).is_ok());
    assert_eq!(
        errors(&with_sink("limit = \"${WORD}\"\npause = \"${WORD}\"")),
        ["8:9 `limit` of sink `bucket`: expected a whole number, found a string, the value of `${WORD}`"]
    );
    let found = errors(&with_sink("pause = \"${FIVE}\""));
    assert!(
        found[0].contains("`${FIVE}` is not a duration: it needs a unit, as in \"250ms\", \"5s\""),
        "{found:?}"
    );
}

#[test]
fn item_that_is_an_empty_variable_counts_as_absent() {
    let with_shelves = |items: &str| with_sink(&format!("shelves = [{items}]"));
    for items in ["\"${EMPTY}\", \"a\"", "\"${NOWHERE:-}\", \"${B:-a}\""] {
        assert!(read(&with_shelves(items)).is_ok(), "{items}");
    }
    // Without items the option is absent.
    assert!(read(&with_shelves("\"${EMPTY}\"")).is_ok());
    // An empty string in the file is meant.
    assert_eq!(errors(&with_shelves("\"\", \"b\"")), ["8:11 `shelves`: |b"]);
    assert_eq!(errors(&with_shelves("")), ["8:11 `shelves`: "]);
}
