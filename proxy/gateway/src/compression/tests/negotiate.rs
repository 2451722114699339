use crate::compression::Coding::{self, Deflate, Gzip};
use crate::compression::negotiate::{UnsupportedCoding, accepted_coding, content_coding};

fn accepted(values: &[&str]) -> Option<Coding> {
    accepted_coding(values.iter().map(|value| value.as_bytes()))
}

#[test]
fn the_coding_with_the_highest_weight_is_chosen() {
    for (values, expected) in [
        (&["gzip"][..], Some(Gzip)),
        (&["deflate"], Some(Deflate)),
        (&["x-gzip"], Some(Gzip)),
        (&["GZIP"], Some(Gzip)),
        (&["gzip, deflate, br"], Some(Gzip)),
        (&["br, deflate"], Some(Deflate)),
        (&["deflate, gzip"], Some(Gzip)),
        (&["deflate", "gzip"], Some(Gzip)),
        (&["deflate;q=1.0, gzip;q=0.5"], Some(Deflate)),
        (&["deflate;q=0.5,gzip;q=1.0"], Some(Gzip)),
        (&["gzip;q=0.5"], Some(Gzip)),
        (&["gzip;q=0.001"], Some(Gzip)),
        (&["gzip ; Q=0.5 , deflate ; q=0.6"], Some(Deflate)),
        (&["gzip;q=1.0,identity;q=0.5,*;q=0"], Some(Gzip)),
        (&["gzip;q=0.5, identity;q=0.5"], Some(Gzip)),
        // Nothing that we know is wanted, or not most.
        (&[], None),
        (&[""], None),
        (&["br"], None),
        (&["gzip;q=0"], None),
        (&["gzip;q=0.000, deflate;q=0"], None),
        (&["identity"], None),
        (&["identity, gzip;q=0.5"], None),
        (&["br, gzip;q=0.9"], None),
        (&["*"], None),
        (&["*, gzip;q=0.5"], None),
        (&["*;q=0"], None),
        (&["identity;q=0"], None),
        // Plain is refused.
        (&["identity;q=0, *"], Some(Gzip)),
        (&["identity;q=0, *, gzip;q=0"], Some(Deflate)),
        (&["identity;q=0, *, gzip;q=0, deflate;q=0"], None),
        (&["br, gzip;q=0.5, identity;q=0"], Some(Gzip)),
        (&["br, gzip;q=0.5, *;q=0"], Some(Gzip)),
    ] {
        assert_eq!(accepted(values), expected, "{values:?}");
    }
}

#[test]
fn a_malformed_weight_wants_nothing() {
    for item in [
        "gzip;q=",
        "gzip;q=2",
        "gzip;q=1.001",
        "gzip;q=0.1234",
        "gzip;q=.5",
        "gzip;q=-1",
        "gzip;q=0.x",
        "gzip;q",
        "gzip;level=1",
        "gzip;q=1;x=1",
        "gzip;",
        "gzip;q=1e0",
        "gzip;q=00",
        "gzip;q=\u{fc}",
    ] {
        assert_eq!(accepted(&[item]), None, "{item}");
        assert_eq!(accepted(&[item, "deflate;q=0.1"]), Some(Deflate), "{item}");
    }
}

#[test]
fn what_looks_like_a_coding_is_another() {
    for item in ["gzip=1.0", "gzip q=1", "gzipped", "x-deflate"] {
        assert_eq!(accepted(&[item]), None, "{item}");
        assert_eq!(accepted(&[item, "deflate;q=0.1"]), None, "{item}");
    }
}

#[test]
fn a_request_has_one_known_coding() {
    for (values, expected) in [
        (&[][..], Ok(None)),
        (&[""], Ok(None)),
        (&["identity"], Ok(None)),
        (&["Identity, identity"], Ok(None)),
        (&["gzip"], Ok(Some(Gzip))),
        (&["X-GZip"], Ok(Some(Gzip))),
        (&["deflate"], Ok(Some(Deflate))),
        (&["identity", "gzip"], Ok(Some(Gzip))),
        (&[" gzip ,"], Ok(Some(Gzip))),
        (&["gzip, gzip"], Err(UnsupportedCoding)),
        (&["gzip", "deflate"], Err(UnsupportedCoding)),
        (&["br"], Err(UnsupportedCoding)),
        (&["compress"], Err(UnsupportedCoding)),
        (&["aws-chunked"], Err(UnsupportedCoding)),
        (&["gzip;q=1"], Err(UnsupportedCoding)),
        (&["*"], Err(UnsupportedCoding)),
    ] {
        assert_eq!(
            content_coding(values.iter().map(|value| value.as_bytes())),
            expected,
            "{values:?}"
        );
    }
}
