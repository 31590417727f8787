//! Tests of programs.

use bytes::Bytes;
use runner_core::testing::{context, record};
use runner_core::{Header, Headers, Result, TextError};

use super::{Input, Metadata, Program, ProgramResult, ProgramText};

fn program(text: &str) -> Program {
    Program::compile(&ProgramText::inline("source", text).unwrap(), None, &context()).unwrap()
}

fn run(text: &str, json: &'static str) -> Result<ProgramResult> {
    program(text).run(&Input::Json(json.as_bytes()), &Metadata::default())
}

fn one(text: &str, json: &'static str) -> String {
    match run(text, json).unwrap() {
        ProgramResult::One(json) => String::from_utf8(json.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn reason(text: &str, json: &'static str) -> String {
    run(text, json).unwrap_err().to_string()
}

fn compile_error(text: &str) -> TextError {
    let text = ProgramText::inline("source", text).unwrap();
    let error = Program::compile(&text, None, &context()).err().expect("the program is not valid");
    error.downcast().expect("one error with a place")
}

#[test]
fn program_changes_a_record_and_sorts_its_keys() {
    assert_eq!(one(".b = to_int!(.b)\n.c = del(.a)", r#"{"b":"12","a":1.50}"#), r#"{"b":12,"c":1.5}"#);
}

#[test]
fn array_makes_many_and_abort_and_null_make_nothing() {
    let parts = run(". = [1, {\"a\": null}]", "{}").unwrap();
    assert_eq!(parts, ProgramResult::Many(vec!["1".into(), r#"{"a":null}"#.into()]));
    assert_eq!(run(". = []", "{}").unwrap(), ProgramResult::Many(Vec::new()));
    assert_eq!(run("abort", "{}").unwrap(), ProgramResult::Nothing);
    assert_eq!(run(". = null", "{}").unwrap(), ProgramResult::Nothing);
}

#[test]
fn input_of_any_type_is_a_value() {
    assert_eq!(one(". = {\"t\": .[0], \"o\": .[1]}", "[5,\"x\"]"), r#"{"o":"x","t":5}"#);
    assert_eq!(one(". = {\"n\": .}", "1"), r#"{"n":1}"#);
}

#[test]
fn metadata_can_be_read_and_not_written() {
    let metadata = Metadata::new([("symbol", "NYA".into())]);
    let made = program(".Index = %symbol").run(&Input::Json(b"{}"), &metadata).unwrap();
    assert_eq!(made, ProgramResult::One(r#"{"Index":"NYA"}"#.into()));
    assert!(compile_error("%symbol = 1").message.contains("read-only"), "{:?}", compile_error("%symbol = 1"));
}

#[test]
fn runtime_error_says_where_without_values() {
    let reason = reason(".x = 1\n.y = to_int!(.y)", r#"{"y":"s3cret value"}"#);
    assert!(reason.starts_with("`to_int` has failed at line 2, column 6 of `source`: "), "{reason}");
    assert!(!reason.contains("s3cret"), "{reason}");
}

#[test]
fn assignment_to_a_field_does_not_replace_a_record_that_is_not_an_object() {
    for (json, kind) in [("[{\"a\":2}]", "array"), ("5", "integer"), ("\"text\"", "string")] {
        let reason = reason(".src = \"kafka\"", json);
        assert!(reason.contains(&format!("of type {kind}")) && reason.contains("`.src`"), "{reason}");
    }
    let made =
        |text: &str, json: &str| program(text).run(&Input::Json(json.as_bytes()), &Metadata::default());
    let one = |json: &str| ProgramResult::One(Bytes::from(json.to_owned()));
    assert_eq!(made(". = {\"value\": .}\n.src = 1", "5").unwrap(), one("{\"src\":1,\"value\":5}"));
    assert_eq!(made("if is_object(.) { .src = 1 }", "5").unwrap(), one("5"));
    assert_eq!(made(".src = 1", "null").unwrap(), one("{\"src\":1}"));
    assert_eq!(made(".[0] = 9", "[1]").unwrap(), ProgramResult::Many(vec![Bytes::from_static(b"9")]));
}

#[test]
fn message_of_the_program_is_shown() {
    let reason =
        reason("assert!(.Close > 0 ?? false, message: \"Close must be positive\")", r#"{"Close":-5}"#);
    assert!(reason.ends_with(": Close must be positive"), "{reason}");
}

#[test]
fn compile_error_points_to_its_place() {
    let error = compile_error(".a = 1\n.b = upcas(.a)");
    assert_eq!(&error.text[error.span.clone()], "upcas", "{error:?}");
    let error = compile_error(". = decode_gzip!(.)");
    assert!(error.notes.iter().any(|note| note.contains("leaves out `decode_gzip`")), "{error:?}");
}

#[test]
fn index_that_is_not_a_number_is_named_with_its_replacement() {
    for text in ["rows = [1]\ni = 0\n. = rows[i]", ". = .rates[\"USD\"]"] {
        let notes = compile_error(text).notes;
        assert!(notes.iter().any(|note| note.contains("`get!(value, [index])`")), "{text} {notes:?}");
    }
}

#[test]
fn field_whose_name_needs_quotes_is_shown_with_them() {
    for (text, has_note) in [
        (".z = .Adj Close", true),
        (".z = .gr\u{f6}\u{df}e", true),
        (".z = .order-id", true),
        (".z = (.a", false),
        (".z = .a - b", false),
    ] {
        let notes = compile_error(text).notes;
        assert_eq!(notes.iter().any(|note| note.contains("`.\"Adj Close\"`")), has_note, "{text} {notes:?}");
    }
}

#[test]
fn unused_value_is_a_warning() {
    let context = context();
    Program::compile(&ProgramText::inline("source", "1\n.a = 2").unwrap(), None, &context).unwrap();
    let warnings = context.warnings.take();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].downcast_ref::<TextError>().unwrap().span, 0..1);
}

#[test]
fn argument_of_a_limited_function_is_computed_once() {
    assert_eq!(
        one(". = merge!(., flatten!(del(.o)))", r#"{"x":1,"o":{"a":{"b":2},"c":{}}}"#),
        r#"{"a.b":2,"o":{"a":{"b":2},"c":{}},"x":1}"#
    );
    assert_eq!(
        one(". = flatten!(., \"_\", except: [\"k\"])", r#"{"p":{"c":1},"k":{"n":2}}"#),
        r#"{"k":{"n":2},"p_c":1}"#
    );
    assert_eq!(one(".a = flatten!(.a)", r#"{"a":[1,[2,[]],[[3],{"b":[4]}]]}"#), r#"{"a":[1,2,3,{"b":[4]}]}"#);
    assert!(reason(".a = flatten!(.a)", r#"{"a":1}"#).contains("expected array or object, got integer"));
}

#[test]
fn record_of_kafka_has_its_origin_key_time_and_headers_as_metadata() {
    let mut record = record("{}", 7);
    record.key = Some("NYA".into());
    record.timestamp = Some(1_706_693_400_123);
    let header =
        |name: &str, value: Option<&'static str>| Header { name: name.into(), value: value.map(Into::into) };
    record.headers =
        Headers::new(vec![header("t", Some("old")), header("t", Some("new")), header("n", None)]);
    let topic = record.origin.source;
    let made = |text: &str| {
        let program = program(text);
        match program.run(&Input::Body(&record.body), &program.metadata(&record)).unwrap() {
            ProgramResult::One(json) => String::from_utf8(json.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        made(". = [%topic, %partition, %offset]\n. = { \"at\": . }"),
        format!("{{\"at\":[\"{topic}\",0,7]}}")
    );
    assert_eq!(
        made(". = { \"k\": %key, \"t\": %timestamp, \"h\": %headers }"),
        r#"{"h":{"n":null,"t":"new"},"k":"NYA","t":"2024-01-31T09:30:00.123Z"}"#
    );
    let text = ProgramText::inline("condition", "%headers.t == \"new\"").unwrap();
    assert!(Program::compile_condition(&text, &context()).unwrap().holds(&record).unwrap());
}

#[test]
fn name_that_no_record_has_as_metadata_causes_a_warning() {
    let warnings = |text: &str| {
        let context = context();
        Program::compile_condition(&ProgramText::inline("condition", text).unwrap(), &context).unwrap();
        context.warnings.take().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(warnings("%key == \"a\""), "");
    assert!(warnings("%keys == \"a\"").contains("`%keys` is always null: did you mean `%key`?"));
    assert!(warnings("%symbol == \"a\"").contains("a record has `%topic`, `%partition`"));
}

#[test]
fn condition_gives_a_boolean_and_changes_nothing() {
    let condition =
        |text: &str| Program::compile_condition(&ProgramText::inline("condition", text).unwrap(), &context());
    let body = record(r#"{"Index":"NYA"}"#, 0);
    assert!(condition(".Index == \"NYA\"").unwrap().holds(&body).unwrap());
    assert!(!condition(".Index == \"IXIC\"").unwrap().holds(&body).unwrap());
    assert!(condition("1 + 1").err().unwrap().to_string().contains("not a boolean"));
    let assigned = condition(".Index = 1\ntrue").err().unwrap();
    assert!(assigned.to_string().contains("read-only"));
    let notes = &assigned.downcast_ref::<TextError>().expect("an error of the compiler").notes;
    assert!(notes.iter().any(|note| note.contains("write `==`")), "{notes:?}");
    assert!(condition(".Index").unwrap().holds(&body).unwrap_err().to_string().contains("gives string"));
}

#[test]
fn timezone_is_used_for_times_without_a_zone() {
    let text = ProgramText::inline("source", ". = parse_timestamp!(., \"%Y-%m-%d %H:%M\")").unwrap();
    let made = |timezone| {
        let program = Program::compile(&text, timezone, &context()).unwrap();
        program.run(&Input::Json(br#""2024-07-01 12:00""#), &Metadata::default()).unwrap()
    };
    assert_eq!(made(None), ProgramResult::One(r#""2024-07-01T12:00:00Z""#.into()));
    assert_eq!(made(Some("Europe/Berlin")), ProgramResult::One(r#""2024-07-01T10:00:00Z""#.into()));
    assert!(Program::compile(&text, Some("Mars"), &context()).is_err());
}

#[test]
fn product_is_computed_and_limited() {
    let text = ".c = to_float!(.a) * 2 * to_int!(.n)\n.d = (.a * .n ?? \"too long\")\nif .n * 2 == 4 ?? false { .e = [1 * 2, 3] }";
    assert_eq!(one(text, r#"{"a":"1.5","n":2}"#), r#"{"a":"1.5","c":6.0,"d":"1.51.5","e":[2,3],"n":2}"#);
    let large = one(".d = (.a * .n ?? \"too long\")", r#"{"a":"abc","n":1000000000000}"#);
    assert_eq!(large, r#"{"a":"abc","d":"too long","n":1000000000000}"#);
}

#[test]
fn list_grows_in_place_as_if_it_were_assigned() {
    let text = "rows = []\nfor_each(array!(.)) -> |i, n| {\n  if n != null { rows = push(rows, {\"n\": n, \"i\": i, \"before\": length(rows)}) }\n}\n\
        other = rows\nother = push(other, (rows = push(rows, 1)))\n. = [rows, length(other), (rows = push(rows, 2))]";
    let made = run(text, "[5,null,6]").unwrap();
    let rows = r#"{"before":0,"i":0,"n":5},{"before":1,"i":2,"n":6}"#;
    let expected = [format!("[{rows},1]"), "3".into(), format!("[{rows},1,2]")];
    assert_eq!(made, ProgramResult::Many(expected.map(Bytes::from).into()));
}

#[test]
fn long_list_takes_linear_time() {
    let numbers: &'static str = Box::leak(serde_json::to_string(&vec![1; 20_000]).unwrap().into_boxed_str());
    let text =
        "rows = []\nfor_each(array!(.)) -> |i, n| { rows = push(rows, {\"i\": i, \"n\": n}) }\n. = rows";
    let started = std::time::Instant::now();
    assert!(matches!(run(text, numbers).unwrap(), ProgramResult::Many(parts) if parts.len() == 20_000));
    // Copies of the list for each item would take minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn place_of_an_error_after_a_product_is_that_of_the_text() {
    let reason = reason(".a = 2 * 3 * 4; .b = to_int!(.b)", r#"{"b":"x"}"#);
    assert!(reason.contains("line 1, column 22 of"), "{reason}");
}

#[test]
fn function_that_would_make_too_much_of_its_arguments_is_refused() {
    let long = "s".repeat(100);
    let nested = format!("{{\"{long}\":{}}}", "[1,2]");
    let nested = (0..60).fold(nested, |inner, _| format!("{{\"{}\":{inner}}}", "k".repeat(10_000)));
    let wide: Vec<String> = (0..200).map(|n| format!("\"{n}\":1")).collect();
    let nested = nested.replace("[1,2]", &format!("{{{}}}", wide.join(",")));
    let nested: &'static str = Box::leak(nested.into_boxed_str());
    for (text, record, why) in [
        (".x = format_number!(1.5, scale: int!(.n))", "{\"n\":3000000000}", "larger than 99"),
        (
            ". = encode_key_value!(object!(.), field_delimiter: \"LONG\")",
            "{\"a\":1,\"b\":2}",
            "longer than 64",
        ),
        (". = flatten!(., separator: \"LONG\")", nested, "64 MiB"),
        (
            ". = redact!(string!(.s), filters: [r'x'], redactor: {\"type\": \"text\", \"replacement\": \"LONG\"})",
            "{\"s\":\"xx\"}",
            "longer than 64",
        ),
    ] {
        let reason = reason(&text.replace("LONG", &long), record);
        assert!(reason.contains(why), "{text}: {reason}");
    }
    let short = ". = encode_key_value!(., field_delimiter: \"; \") + format_number!(1.26, scale: 1)";
    assert_eq!(one(short, "{\"a\":1,\"b\":2}"), "\"a=1; b=21.2\"");
}

#[test]
fn growing_program_is_ended() {
    let text = "s = \"0123456789\"\nfor_each(array!(.)) -> |_, _| { s = s + s }\n. = s";
    let numbers: &'static str = Box::leak(serde_json::to_string(&vec![1; 100]).unwrap().into_boxed_str());
    let reason = reason(text, numbers);
    assert!(reason.contains("512 MiB") || reason.contains("larger than 64 MiB"), "{reason}");
}

#[test]
fn nested_values_and_programs_are_refused() {
    let text = "a = []\nfor_each(array!(.)) -> |_, _| { a = [a] }\n. = {\"a\": a}";
    let numbers: &'static str = Box::leak(serde_json::to_string(&vec![1; 2000]).unwrap().into_boxed_str());
    let reason = reason(text, numbers);
    assert!(reason.contains("nested more than") || reason.contains("512 MiB"), "{reason}");
    let branches: String = (0..450).map(|n| format!(" else if .a == {n} {{ .b = {n} }}")).collect();
    assert_eq!(one(&format!("if .a == -1 {{ .b = -1 }}{branches}"), r#"{"a":449}"#), r#"{"a":449,"b":449}"#);
    assert_eq!(one(&format!(". = 0{}", " + 1".repeat(450)), "{}"), "450");
    let long = format!(". = 0{}", " + 1".repeat(600));
    assert!(compile_error(&long).message.contains("a chain of more than 500"));
    let deep = format!(". = {}1{}", "(".repeat(30_000), ")".repeat(30_000));
    assert!(compile_error(&deep).message.contains("nested more than"));
    let deep = format!(". = {}true", "!".repeat(60_000));
    assert!(compile_error(&deep).message.contains("nested more than"));
}

#[test]
fn infinite_number_and_body_that_is_not_json_are_rejected() {
    assert!(reason(". = float!(.) * 10.0", "1e308").contains("infinite"));
    assert!(reason(".a = 1", "Hello secret").contains("not valid JSON"));
    assert!(!reason(".a = 1", "Hello secret").contains("secret"));
}
