use tollgate_tests::{Gateway, Upstream, greedy};

#[test]
fn a_request_goes_to_the_backend_and_back() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    assert_eq!(gateway.get("/pets").echoed_target(), "GET /pets");
    assert_eq!(gateway.connect_http2().get("/pets").echoed_target(), "GET /pets");
}
