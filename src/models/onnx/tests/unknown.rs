//! Input that may have a meaning that we do not implement is refused by name. Input that
//! cannot have one is ignored.

use super::writer::*;
use crate::models::Model;

fn relu() -> Graph {
    one(1, "Relu", &[])
}

/// `x` through an operator whose message is written field by field.
fn node(more: impl FnOnce(Message) -> Message) -> Graph {
    let node = Message::default().text(1, "x").text(2, "y").text(4, "Relu");
    let mut graph = Graph::new(1).output("y");
    graph.graph = graph.graph.message(1, more(node));
    graph
}

/// `x` plus a stored tensor.
fn stored(more: impl FnOnce(Message) -> Message) -> Graph {
    with(1, "Add", more(floats(&[1], &[2.0])), &[])
}

#[test]
fn fields_that_nobody_knows_are_refused() {
    let mut model = relu();
    model.more = Message::default().int(99, 1);
    let mut graph = relu();
    graph.graph = graph.graph.int(99, 1);
    let mut opset = relu();
    opset.more = Message::default().message(8, Message::default().text(1, "z").int(99, 1));
    let mut port = relu();
    port.graph = port
        .graph
        .message(12, Message::default().text(1, "x").int(99, 1));
    let kind = |kind: Message| {
        let mut graph = relu();
        let port = Message::default().text(1, "z").message(2, kind);
        graph.graph = graph.graph.message(11, port);
        graph
    };
    let tensor_type = |tensor: Message| kind(Message::default().message(1, tensor));
    let shape = |shape: Message| tensor_type(Message::default().int(1, 1).message(2, shape));
    let attribute = Message::default().text(1, "norm").text(4, "L1").int(99, 1);
    for (graph, message) in [
        (model, "a model"),
        (graph, "a graph"),
        (opset, "an operator set"),
        (port, "an input or output"),
        (kind(Message::default().int(99, 1)), "a type"),
        (
            tensor_type(Message::default().int(99, 1)),
            "a tensor's type",
        ),
        (shape(Message::default().int(99, 1)), "a shape"),
        (
            shape(Message::default().message(1, Message::default().int(99, 1))),
            "a dimension",
        ),
        (node(|node| node.int(99, 1)), "a node"),
        (stored(|tensor| tensor.int(99, 1)), "a tensor"),
        (
            Graph::new(1)
                .raw_node("Normalizer", &["x"], "y", attribute)
                .output("y"),
            "an attribute",
        ),
    ] {
        let error = graph.error();
        let expected = format!("field 99 of {message} is not known and may change");
        assert!(error.contains(&expected), "{message}: {error}");
    }
    let segment = stored(|tensor| tensor.message(3, Message::default().int(1, 0).int(2, 1)));
    let error = segment.error();
    assert!(
        error.contains("tensor 'c' is a segment of a larger one"),
        "{error}"
    );
}

#[test]
fn notes_and_metadata_may_hold_anything() {
    let entry = || Message::default().text(1, "k").text(2, "v");
    let mut graph = node(|node| node.text(6, "a note").message(9, entry()).int(10, 7));
    graph.graph = graph
        .graph
        .text(2, "g")
        .text(10, "a note")
        .message(16, entry());
    graph.more = Message::default()
        .text(2, "a tool")
        .text(3, "9.9")
        .text(4, "org")
        .int(5, 77)
        .text(6, "a note")
        .message(14, entry());
    assert_eq!(graph.run(&[3.0]), [3.0]);
    let notes = stored(|tensor| tensor.text(12, "a note").message(16, entry()));
    assert_eq!(notes.run(&[3.0]), [5.0]);
}

#[test]
fn a_function_of_the_model_stands_for_its_own_body() {
    let function = |domain: &str, name: &str| {
        let mut graph = relu();
        let body = Message::default().text(1, name).text(10, domain);
        graph.more = Message::default().message(25, body);
        graph
    };
    for domain in ["", "ai.onnx"] {
        let error = function(domain, "Relu").error();
        assert!(
            error.contains("calls a function that the model brings along"),
            "{error}"
        );
    }
    // Nothing calls these functions.
    for (domain, name) in [("", "Tanh"), ("mine", "Relu")] {
        assert_eq!(function(domain, name).run(&[-3.0]), [0.0]);
    }
    let error = node(|node| node.text(8, "fast")).error();
    assert!(error.contains("calls a function"), "{error}");
}

#[test]
fn operator_sets_and_formats_that_nobody_knows_need_a_check_file() {
    let mut newest = relu();
    newest.opset = 28;
    assert_eq!(newest.load().inputs(), 1);
    newest.opset = 29;
    let error = newest.error();
    for words in [
        "Relu is of operator set version 29",
        "this library knows versions up to 28",
        "expected a check file",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let mut format = relu();
    format.more = Message::default().int(1, 14);
    assert_eq!(format.load().inputs(), 1);
    format.more = Message::default().int(1, 15);
    assert!(format.error().contains("ir_version is 15"));
    // An import that no node needs has no effect.
    let mut import = relu();
    import.more = Message::default().message(8, Message::default().text(1, "z").int(2, 99));
    assert_eq!(import.load().inputs(), 1);
}

#[test]
fn tract_is_named_only_where_it_would_help() {
    let hint = "build with the feature `tract`";
    for op in ["Elu", "LayerNormalization", "Squeeze", "Clip"] {
        let error = one(1, op, &[]).error();
        assert!(cfg!(feature = "tract") || error.contains(hint), "{error}");
    }
    for op in ["NoSuchThing", "ml.SVMRegressor", "Elus", "ml.Elu"] {
        let error = one(1, op, &[]).error();
        assert!(
            error.contains("is not supported; choose outputs"),
            "{error}"
        );
        assert!(!error.contains(hint), "{error}");
    }
}

#[test]
fn what_is_sparse_or_text_is_refused_by_name() {
    let sparse = || {
        let values = floats(&[1], &[2.0]).text(8, "few");
        Message::default().message(1, values).int(3, 4)
    };
    let mut initializer = relu();
    initializer.graph = initializer.graph.message(15, sparse());
    let constant = |attribute: Message| {
        let node = Message::default()
            .text(2, "c")
            .text(4, "Constant")
            .text(3, "the_c");
        let mut graph = Graph::new(1)
            .node("Add", &["x", "c"], &["y"], &[])
            .output("y");
        graph.graph = graph.graph.message(1, node.message(5, attribute));
        graph
    };
    let named = |name: &str| Message::default().text(1, name);
    let input = |kind: u64| {
        let port = Message::default().text(1, "z");
        let mut graph = Graph::bare().node("Relu", &["z"], &["y"], &[]).output("y");
        let kind = Message::default().message(kind, Message::default());
        graph.graph = graph.graph.message(11, port.message(2, kind));
        graph
    };
    for (graph, parts) in [
        (
            initializer,
            [
                "initializer 'few' is a sparse tensor",
                "expected a dense one",
            ],
        ),
        (
            constant(named("sparse_value").message(22, sparse()).int(20, 11)),
            [
                "'the_c' (Constant): attribute sparse_value is a sparse tensor",
                "expected numbers",
            ],
        ),
        (
            constant(named("value_string").text(4, "a").int(20, 3)),
            ["attribute value_string is text", "expected numbers"],
        ),
        (
            constant(named("value_strings").text(9, "a").int(20, 8)),
            [
                "attribute value_strings is a list of texts",
                "expected numbers",
            ],
        ),
        (
            constant(named("value").message(22, sparse())),
            ["attribute value is a sparse tensor", "expected a number"],
        ),
        (
            constant(named("value").message(5, Message::default().int(2, 8).text(6, "a"))),
            ["has string", "expected float"],
        ),
        (
            constant(named("value_int").text(21, "outer")),
            [
                "attribute value_int is a reference to an attribute of a function",
                "expected",
            ],
        ),
        (input(4), ["input 'z' is a sequence", "expected a tensor"]),
        (input(5), ["input 'z' is a map", "expected a tensor"]),
        (
            input(8),
            ["input 'z' is a sparse tensor", "expected a tensor"],
        ),
        (input(9), ["input 'z' is optional", "expected a tensor"]),
    ] {
        let said = graph.error();
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    }
}
