//! Slips of pipeline files: all at once, each where it stands.

use anyhow::Result;

use super::{Diagnostics, Surroundings, load};
use crate::plugin::Registry;

fn read(source: &str) -> Result<crate::pipeline::Pipeline, Diagnostics> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    std::fs::write(&path, source).unwrap();
    let registry = Registry::collect().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let lookup = |name: &str| (name == "EMPTY_PASSWORD").then(String::new);
    let read = load(&path, &Surroundings { registry: &registry, lookup: &lookup, data_dir });
    read.map_err(|mut slips| {
        slips.path = "p.toml".into();
        slips
    })
}

/// What is said of a file: for each slip `line:column message`.
#[track_caller]
fn slips(source: &str) -> Vec<String> {
    let Err(slips) = read(source) else { panic!("no slip in:\n{source}") };
    let said = |slip: &super::Diagnostic| match &slip.span {
        None => slip.message.clone(),
        Some(span) => {
            let above = &source[..span.start];
            let column = above.len() - above.rfind('\n').map_or(0, |end| end + 1) + 1;
            format!("{}:{column} {}", above.matches('\n').count() + 1, slip.message)
        }
    };
    slips.all.iter().map(said).collect()
}

#[track_caller]
fn shown(source: &str) -> String {
    let Err(slips) = read(source) else { panic!("no slip in:\n{source}") };
    slips.render(false)
}

/// One source, one sink; `sink` stands behind the options of the sink.
fn with_sink(sink: &str) -> String {
    format!(
        "[sources.in]\ntype = \"well\"\n[sinks.out]\ntype = \"bucket\"\ninputs = [\"in\"]\nname = \"n\"\ngroup_id = \"g\"\n{sink}\n"
    )
}

const RIGHT: &str = "type = \"bucket\"\nname = \"n\"\ngroup_id = \"g\"\n";

#[test]
fn what_the_test_plugins_take_is_read() {
    let pipeline = read(&with_sink("pause = \"1s\"\nlock = { kind = \"key\", user = \"u\" }")).unwrap();
    assert_eq!(pipeline.components.len(), 2);
}

#[test]
fn errors_of_options_are_found_beside_all_other_slips() {
    let source = with_sink("pause = 5").replace("type = \"well\"", "type = \"well\"\ndepth = 0")
        + "[sinks.other]\ntype = \"bucket\"\ninputs = [\"inn\"]\nname = \"\"\ngroup_id = \"g\"\n";
    assert_eq!(
        slips(&source),
        [
            "3:9 `depth`: there is no water",
            "9:9 `pause` of sink `bucket`: expected a duration with its unit, as in \"250ms\", \"5s\" or \"1m30s\", \
             found integer `5`",
            "12:11 no component is called `inn`",
            "13:8 `name`: it is empty",
        ]
    );
}

#[test]
fn an_error_of_an_option_names_the_component_and_stands_under_the_value() {
    let source = with_sink("").replace("name = \"n\"", "name = \"\"");
    let said = shown(&source);
    assert!(said.contains("6 | name = \"\"\n  |        ^^ in `sinks.out` (bucket)"), "{said}");
    // What is missing in a table is shown at the table, what is missing altogether at the component.
    let said = slips(&with_sink("[sinks.out.lock]\nkind = \"code\"\nuser = \"u\""));
    assert_eq!(said, ["8:12 `lock.password`: a code needs it"]);
    // The line of a secret is not shown, whatever the secret is called.
    let said = shown(&with_sink("[sinks.out.lock]\nkind = \"key\"\nuser = \"u\"\npin = \"1234\""));
    assert!(said.contains("p.toml:8:12") && !said.contains("1234"), "{said}");
    let said = slips(&format!("{}[dead_letter]\n{RIGHT}follows = true\n", with_sink("")));
    assert_eq!(said, ["9:2 `target`: nothing in front says where"]);
}

#[test]
fn several_errors_of_one_component_are_shown_at_once() {
    let said = slips(&with_sink("[sinks.out.extras]\na = \"1\"\n\"b.c\" = \"2\""));
    assert_eq!(said, ["9:5 `extras.a`: it is refused", "10:9 `extras.b.c`: it is refused"]);
}

#[test]
fn what_follows_from_another_slip_alone_is_not_shown() {
    let follower = "[sinks.last]\ntype = \"bucket\"\ninputs = [\"out\"]\nname = \"n\"\ngroup_id = \"g\"\nfollows = true\n";
    read(&format!("{}{follower}", with_sink(""))).unwrap();
    let said = slips(&format!("{}{follower}", with_sink("pause = \"1\"")));
    assert_eq!(said.len(), 1, "{said:?}");
    // A value that is not known is neither an option's error nor that of a component behind.
    let source = with_sink("size = \"${NOWHERE}\"\n[sinks.out.extras]\na = \"1\"");
    let said = slips(&format!("{source}{follower}"));
    assert!(said.len() == 1 && said[0].starts_with("8:8 the variable NOWHERE is not set"), "{said:?}");
    let said = slips(&with_sink("").replace("[\"in\"]", "[\"${NOWHERE}\"]"));
    assert!(said.len() == 1 && said[0].starts_with("5:11 the variable NOWHERE is not set"), "{said:?}");
    let said = slips(&with_sink("").replace("\"well\"", "\"well\"\ndepth = \"${NOWHERE}\""));
    assert!(said.len() == 1 && said[0].starts_with("3:9 the variable NOWHERE is not set"), "{said:?}");
    let said = slips(&format!("name = \"${{NOWHERE}}\"\n{}", with_sink("")));
    assert!(said.len() == 1 && said[0].starts_with("1:8 the variable NOWHERE is not set"), "{said:?}");
    // The source is what the misspelt input means.
    let said = slips(&with_sink("").replace("[\"in\"]", "[\"im\"]"));
    assert_eq!(said, ["5:11 no component is called `im`"]);
    let said = slips(&with_sink("").replace("inputs = [\"in\"]\n", ""));
    assert_eq!(said, ["3:8 sink `out` needs `inputs`"]);
}

#[test]
fn all_missing_options_are_named() {
    let said = slips("[sources.in]\ntype = \"well\"\n[sinks.out]\ntype = \"bucket\"\ninputs = [\"in\"]\n");
    let needs = |name: &str| format!("3:8 sink `bucket` needs the option `{name}`");
    assert_eq!(said, [needs("name"), needs("group_id")]);
    let said = slips(&with_sink("lock = { password = \"p\" }\npause = \"1\""));
    assert_eq!(
        said,
        [
            "8:8 table `lock` of sink `bucket` needs the option `kind`",
            "8:8 table `lock` of sink `bucket` needs the option `user`",
            "9:9 `pause` of sink `bucket`: `1` is not a duration: it needs a unit, as in \"250ms\", \"5s\" or \"1m30s\"",
        ]
    );
}

#[test]
fn a_slip_in_a_table_hides_none_behind_it() {
    let source = with_sink("[sinks.out.lock]\nkind = \"kee\"\nuser = 3")
        .replace("[sinks.out.lock]", "size = 7\n[sinks.out.lock]");
    let said = slips(&source);
    assert_eq!(
        said,
        [
            "8:8 `size` of sink `bucket`: expected a size with its unit, as in \"64KiB\" or \"10MB\", found integer `7`",
            "10:8 `kee` is no value of `lock.kind`",
            "11:8 `lock.user` of sink `bucket`: expected a string, found integer `3`",
        ]
    );
    // Nor does it bring along what the table lacks without it.
    let said = slips(&with_sink("pair = { left = 1, right = \"2\" }\nsize = 7"));
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        slips(&with_sink("pair = { left = 1 }")),
        ["8:8 `pair` of sink `bucket`: half of it is missing"]
    );
    // Whichever comes first in the file.
    let said = slips(&with_sink("lock = { kind = \"kee\" }\nsize = 7"));
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn an_unknown_option_is_told_the_table_it_stands_in() {
    let said = shown(&format!("[batch]\nmax_record = 1\n{}", with_sink("")));
    assert!(said.contains("unknown option `max_record` for table `batch` of a pipeline file"), "{said}");
    assert!(said.contains("^^^^^^^^^^ `batch` has no such option"), "{said}");
    let said = shown(&with_sink("lock = { kind = \"key\", user = \"u\", pasword = \"p\" }"));
    assert!(said.contains("unknown option `pasword` for table `lock` of sink `bucket`"), "{said}");
    assert!(
        said.contains("`lock` has no such option") && said.contains("it has: kind, user, password, pin"),
        "{said}"
    );
}

#[test]
fn a_dotted_key_is_replaced_as_a_whole() {
    let said = shown(&with_sink("").replace("group_id =", "group.id ="));
    assert!(said.contains("unknown option `group.id` for sink `bucket`"), "{said}");
    assert!(said.contains("+ group_id = \"g\""), "{said}");
    let said = shown(&with_sink("lok.kind = \"key\""));
    assert!(said.contains("8 | lock.kind = \"key\""), "{said}");
}

#[test]
fn every_cycle_is_found_beside_other_slips() {
    let pipe =
        |name: &str, input: &str| format!("[transforms.{name}]\ntype = \"pipe\"\ninputs = [\"{input}\"]\n");
    let source = with_sink("")
        + &pipe("a", "b")
        + &pipe("b", "a")
        + &pipe("c", "d")
        + &pipe("d", "c")
        + &pipe("e", "nowhere");
    let said = slips(&source);
    let cycles: Vec<_> = said.iter().filter(|it| it.contains("form a cycle: ")).collect();
    assert!(cycles.len() == 2 && cycles[0].contains("b -> a -> b"), "{said:?}");
    assert!(said.iter().any(|it| it.contains("no component is called `nowhere`")), "{said:?}");
}

#[test]
fn a_table_that_is_written_wrongly_is_still_read() {
    let source =
        with_sink("").replace("[sources.in]", "[[sources.in]]").replace("type = \"well\"", "type = \"wel\"");
    // What stands under so odd a header is not known to be harmless.
    assert_eq!(slips(&source), ["1:11 `in` is not a table", "2:8 there is no source of type `***`"]);
    let source =
        with_sink("pause = 1").replace("sinks.out", "sinks.\"o u t\"").replace("[\"in\"]", "[\"inn\"]");
    let said = slips(&source);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("cannot be the name of a component"), "{said:?}");
    // What may be in it is not known.
    let said = slips(&with_sink("").replace("[sources.in]", "[[sources]]"));
    assert_eq!(said, ["1:3 `sources` is not a table"]);
}

#[test]
fn a_dead_letter_with_inputs_shows_its_other_slips() {
    let said = slips(&format!("{}[dead_letter]\ninputs = [\"in\"]\n{RIGHT}pause = 3\n", with_sink("")));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("has no `inputs`") && said[1].contains("`pause` of sink `bucket`"), "{said:?}");
}

#[test]
fn limits_that_make_no_sense_are_refused_where_they_stand() {
    let front = "[batch]\nin_flight = \"0B\"\n[retry]\nmax = \"50ms\"\n";
    let said = slips(&format!("{front}{}", with_sink("")));
    assert!(said.len() == 2 && said[0].starts_with("2:13 `batch.in_flight`: "), "{said:?}");
    assert!(
        said[1].starts_with("4:7 `retry.max`: the first pause, `retry.initial` (100ms), is longer"),
        "{said:?}"
    );
}

#[test]
fn a_table_or_key_that_stands_there_twice_is_one_slip() {
    let source = with_sink("[sources.in] # again\ntype = \"well\"\ndepth = 3");
    assert_eq!(slips(&source), ["8:10 the table `sources.in` stands there twice"]);
    let said = shown(&source);
    assert!(said.contains("1 | [sources.in]\n  | ------------ the first one"), "{said}");
    let source = with_sink("name = \"m\"");
    assert_eq!(slips(&source), ["8:1 the key `name` stands there twice"]);
    assert!(shown(&source).contains("---- the first one"), "{}", shown(&source));
    let source = with_sink("lock = { user = \"u\", user = \"v\" }");
    assert_eq!(slips(&source), ["8:22 the key `user` stands there twice"]);
    // The keys of each table are its own.
    let said =
        slips(&(with_sink("name = \"m\"") + "[sinks.out]\nname = \"k\"\n[sources.in]\ntype = \"well\"\n"));
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn a_plugin_of_another_kind_is_suggested_with_its_kind() {
    let said = shown(&with_sink("").replace("\"bucket\"", "\"pip\""));
    assert!(said.contains("`pipe` is a transform: its table is `[transforms.NAME]`"), "{said}");
    let said = shown(&with_sink("").replace("\"bucket\"", "\"bukket\""));
    assert!(!said.contains("its table is"), "{said}");
}

#[test]
fn a_component_is_told_which_sources_count() {
    let source = with_sink("is_numbered = true").replace("[\"in\"]", "[\"in\", \"p\"]")
        + "[sources.more]\ntype = \"well\"\n[transforms.p]\ntype = \"pipe\"\ninputs = [\"more\", \"in\"]\n";
    assert_eq!(slips(&source), ["8:15 `is_numbered`: in and more"]);
    let source = with_sink("")
        + "[sources.more]\ntype = \"well\"\n[sinks.rest]\ninputs = [\"more\"]\n"
        + RIGHT
        + "[dead_letter]\nis_numbered = true\n"
        + RIGHT;
    assert_eq!(slips(&source), ["17:15 `is_numbered`: in and more"]);
}

#[test]
fn an_empty_secret_leaves_messages_as_they_are() {
    let said = slips(&with_sink("lock = { kind = \"code\", user = 3, password = \"${EMPTY_PASSWORD}\" }"));
    assert_eq!(said, ["8:32 `lock.user` of sink `bucket`: expected a string, found integer `3`"]);
    let said = slips(&with_sink("lock = { kind = \"code\", password = \"${EMPTY_PASSWORD}\" }"));
    assert_eq!(said, ["8:8 table `lock` of sink `bucket` needs the option `user`"]);
}

#[test]
fn an_item_that_is_an_empty_variable_is_as_good_as_absent() {
    let with_shelves = |items: &str| with_sink(&format!("shelves = [{items}]"));
    for items in ["\"${EMPTY_PASSWORD}\", \"a\"", "\"${NOWHERE:-}\", \"${B:-a}\""] {
        assert!(read(&with_shelves(items)).is_ok(), "{items}");
    }
    // All of it is absent, so the option is.
    assert!(read(&with_shelves("\"${EMPTY_PASSWORD}\"")).is_ok());
    // What is written down is meant.
    assert_eq!(slips(&with_shelves("\"\", \"b\"")), ["8:11 `shelves`: |b"]);
    assert_eq!(slips(&with_shelves("")), ["8:11 `shelves`: "]);
}
