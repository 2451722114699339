//! What wit-bindgen makes of `plugins/wit`. Both worlds share one set of imports.

wit_bindgen::generate!({
    path: "../wit",
    inline: "
        package tollgate:sdk;
        world imports {
            import tollgate:plugin/request@0.1.0;
            import tollgate:plugin/response@0.1.0;
            import tollgate:plugin/exchange@0.1.0;
            import tollgate:plugin/configuration@0.1.0;
            import tollgate:plugin/log@0.1.0;
            import tollgate:plugin/clock@0.1.0;
            import tollgate:plugin/random@0.1.0;
            import tollgate:plugin/key-value@0.1.0;
            import tollgate:plugin/fetch@0.1.0;
            import tollgate:plugin/types@0.1.0;
        }
    ",
    world: "tollgate:sdk/imports",
    additional_derives: [PartialEq],
    generate_all,
});

/// The world `authorizer`: what an authorizer exports.
pub mod authorizer {
    wit_bindgen::generate!({
        path: "../wit",
        world: "tollgate:plugin/authorizer",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        with: {
            "tollgate:plugin/request@0.1.0": crate::bindings::tollgate::plugin::request,
            "tollgate:plugin/exchange@0.1.0": crate::bindings::tollgate::plugin::exchange,
            "tollgate:plugin/configuration@0.1.0": crate::bindings::tollgate::plugin::configuration,
            "tollgate:plugin/log@0.1.0": crate::bindings::tollgate::plugin::log,
            "tollgate:plugin/clock@0.1.0": crate::bindings::tollgate::plugin::clock,
            "tollgate:plugin/random@0.1.0": crate::bindings::tollgate::plugin::random,
            "tollgate:plugin/key-value@0.1.0": crate::bindings::tollgate::plugin::key_value,
            "tollgate:plugin/fetch@0.1.0": crate::bindings::tollgate::plugin::fetch,
            "tollgate:plugin/types@0.1.0": crate::bindings::tollgate::plugin::types,
        },
    });
}

/// The world `transformer`: what a transformer exports.
pub mod transformer {
    wit_bindgen::generate!({
        path: "../wit",
        world: "tollgate:plugin/transformer",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        with: {
            "tollgate:plugin/request@0.1.0": crate::bindings::tollgate::plugin::request,
            "tollgate:plugin/response@0.1.0": crate::bindings::tollgate::plugin::response,
            "tollgate:plugin/exchange@0.1.0": crate::bindings::tollgate::plugin::exchange,
            "tollgate:plugin/configuration@0.1.0": crate::bindings::tollgate::plugin::configuration,
            "tollgate:plugin/log@0.1.0": crate::bindings::tollgate::plugin::log,
            "tollgate:plugin/clock@0.1.0": crate::bindings::tollgate::plugin::clock,
            "tollgate:plugin/random@0.1.0": crate::bindings::tollgate::plugin::random,
            "tollgate:plugin/key-value@0.1.0": crate::bindings::tollgate::plugin::key_value,
            "tollgate:plugin/fetch@0.1.0": crate::bindings::tollgate::plugin::fetch,
            "tollgate:plugin/types@0.1.0": crate::bindings::tollgate::plugin::types,
        },
    });
}
