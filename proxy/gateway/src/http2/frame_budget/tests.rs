use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const PRIORITY_UPDATE: u8 = 16;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A budget of `budget` frames over one end of a pipe; the other end is the client's.
fn connection(budget: u32) -> (FrameBudget<DuplexStream>, FrameBudgetHandle, DuplexStream) {
    let (server, client) = duplex(4 * 1024 * 1024);
    let (server, handle) = FrameBudget::new(server, budget);
    (server, handle, client)
}

/// Whether a read failed because the budget is used up.
fn is_frame_budget_exhausted(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<FrameBudgetExhausted>())
}

/// How many of `count` equal frames pass with a budget of ten, after the preface.
async fn passing(frame: &[u8], count: usize) -> usize {
    let (mut server, handle, mut client) = connection(10);
    client.write_all(PREFACE).await.expect("room in the pipe");
    server.read_exact(&mut [0; 24]).await.expect("the preface passes");
    for passed in 0..count {
        client.write_all(frame).await.expect("room in the pipe");
        if let Err(error) = server.read_exact(&mut vec![0; frame.len()]).await {
            assert!(is_frame_budget_exhausted(&error) && handle.exhausted());
            return passed;
        }
        assert!(!handle.exhausted());
    }
    count
}

#[tokio::test]
async fn frames_without_progress_use_up_the_budget() {
    let cases = [
        (PING, 0, &[0_u8; 8][..]),
        (SETTINGS, 0, &[]),
        (PRIORITY, 0, &[0; 5]),
        (RST_STREAM, 0, &[0; 4]),
        (GOAWAY, 0, &[0; 8]),
        (PUSH_PROMISE, 0, &[0; 4]),
        (PRIORITY_UPDATE, 0, &[0; 4]),
        (0xfa, 0, &[]),
        (HEADERS, 0, &[0x82]),
        (WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
        (DATA, 0, &[]),
        (DATA, PADDED, &[3, 0, 0, 0]),
        (DATA, PADDED, &[255]),
    ];
    for (kind, flags, payload) in cases {
        assert_eq!(
            passing(&frame(kind, flags, 1, payload), 20).await,
            10,
            "type {kind}, payload {payload:?}"
        );
    }
}

#[tokio::test]
async fn content_and_the_end_of_a_stream_are_progress() {
    assert_eq!(passing(&frame(DATA, 0, 1, b"x"), 50).await, 50);
    assert_eq!(passing(&frame(DATA, END_STREAM, 1, b""), 50).await, 50);
    assert_eq!(passing(&frame(DATA, PADDED, 1, &[2, b'x', 0, 0]), 50).await, 50);
}

#[tokio::test]
async fn four_continuations_of_a_header_block_are_free() {
    let block = [frame(HEADERS, 0, 1, b"x"), frame(CONTINUATION, 0, 1, b"x").repeat(4)].concat();
    assert_eq!(passing(&block, 20).await, 10);
    assert_eq!(passing(&frame(CONTINUATION, 0, 1, b"x"), 50).await, 14);
}

#[tokio::test]
async fn a_stream_of_requests_with_answers_never_ends() {
    let (mut server, handle, mut client) = connection(10);
    client.write_all(PREFACE).await.expect("room in the pipe");
    server.read_exact(&mut [0; 24]).await.expect("the preface passes");
    let request = [
        frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"),
        frame(HEADERS, END_STREAM, 1, b"x"),
        frame(PING, 0, 0, &[0; 8]),
        frame(RST_STREAM, 0, 1, &[0; 4]),
    ]
    .concat();
    for _ in 0..200 {
        client.write_all(&request).await.expect("room in the pipe");
        server.read_exact(&mut vec![0; request.len()]).await.expect("within the budget");
        server.write_all(&frame(HEADERS, END_STREAM, 1, b"x")).await.expect("room in the pipe");
    }
    assert!(!handle.exhausted());
}

#[tokio::test]
async fn requests_reset_before_their_answer_end_the_connection() {
    let reset = [frame(HEADERS, END_STREAM, 1, b"x"), frame(RST_STREAM, 0, 1, &[0; 4])].concat();
    assert_eq!(passing(&reset, 20).await, 5);
}

#[tokio::test]
async fn window_updates_are_paid_for_by_our_data() {
    let (mut server, handle, mut client) = connection(10);
    client.write_all(PREFACE).await.expect("room in the pipe");
    server.read_exact(&mut [0; 24]).await.expect("the preface passes");
    let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 64, 0]);

    // As Go's client: one for the stream and one for the connection for each 4 KiB.
    for _ in 0..100 {
        server.write_all(&frame(DATA, 0, 1, &[0; 16_384])).await.expect("room in the pipe");
        client.write_all(&update.repeat(8)).await.expect("room in the pipe");
        server.read_exact(&mut vec![0; 8 * update.len()]).await.expect("within the budget");
    }
    assert!(!handle.exhausted());

    // 100 × (2 + 16) were earned and 800 used; then the budget itself is used up.
    client.write_all(&update.repeat(1010)).await.expect("room in the pipe");
    server.read_exact(&mut vec![0; 1010 * update.len()]).await.expect("within the budget");
    client.write_all(&update).await.expect("room in the pipe");
    assert!(server.read(&mut [0; 64]).await.is_err());
}

#[tokio::test]
async fn an_exhausted_budget_says_goaway_with_enhance_your_calm() {
    let (mut server, handle, mut client) = connection(10);
    let flood =
        [PREFACE, &frame(HEADERS, END_STREAM, 7, b"x"), &frame(PING, 0, 0, &[0; 8]).repeat(10)]
            .concat();
    client.write_all(&flood).await.expect("room in the pipe");
    let mut passed = vec![0; flood.len()];
    let error = server.read(&mut passed).await.expect_err("a flood");
    assert!(is_frame_budget_exhausted(&error) && handle.exhausted());
    assert!(server.read(&mut passed).await.is_err(), "and it stays so");
    assert!(server.write(b"late").await.is_err(), "nothing follows GOAWAY");
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("an answer");
    assert_eq!(answer, frame(GOAWAY, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 0xb]));
}

#[tokio::test]
async fn goaway_never_lands_in_the_middle_of_a_frame() {
    let (mut server, _, mut client) = connection(1);
    let half = &frame(DATA, 0, 1, &[1; 100])[..50];
    server.write_all(half).await.expect("room in the pipe");
    client
        .write_all(&[PREFACE, &frame(PING, 0, 0, &[0; 8]).repeat(2)].concat())
        .await
        .expect("room in the pipe");
    assert!(server.read(&mut [0; 1024]).await.is_err());
    drop(server);
    let mut written = Vec::new();
    client.read_to_end(&mut written).await.expect("half a frame");
    assert_eq!(written, half);
}

#[tokio::test]
async fn vectored_writes_are_read_like_others() {
    let (mut server, _, _client) = connection(10);
    server.account.frames = 0;
    let answer = frame(HEADERS, END_STREAM, 1, b"abc");
    let (a, b) = answer.split_at(4);
    let written =
        server.write_vectored(&[IoSlice::new(a), IoSlice::new(&[]), IoSlice::new(b)]).await;
    assert_eq!(written.expect("room in the pipe"), answer.len());
    assert_eq!(server.account.frames, 10);
    assert!(server.outgoing.is_between_frames());
}

/// Sends `requests` through h2's own client and server with a budget of `budget`, and says how many
/// were answered in full.
async fn answered_by_h2(requests: usize, budget: u32) -> usize {
    let (server, client) = duplex(64 * 1024);
    let (server, _) = FrameBudget::new(server, budget);
    let serve = async move {
        let mut connection = h2::server::handshake(server).await.expect("a handshake");
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut body =
                respond.send_response(http::Response::new(()), false).expect("an open stream");
            body.send_data(vec![b'x'; 50_000].into(), true).expect("an open stream");
        }
    };
    let request = async move {
        let (sender, connection) = h2::client::handshake(client).await.expect("a handshake");
        let driver = tokio::spawn(connection);
        let mut answered = 0;
        for _ in 0..requests {
            let Ok(mut sender) = sender.clone().ready().await else { break };
            let (response, _) =
                sender.send_request(http::Request::new(()), true).expect("a ready connection");
            let Ok(response) = response.await else { break };
            let mut body = response.into_body();
            while let Some(Ok(data)) = body.data().await {
                body.flow_control().release_capacity(data.len()).expect("data that came");
            }
            answered += 1;
        }
        driver.abort();
        answered
    };
    let server = tokio::spawn(serve);
    let answered = request.await;
    server.abort();
    answered
}

#[tokio::test]
async fn an_honest_client_is_not_limited() {
    assert_eq!(answered_by_h2(500, 20).await, 500);
    // The budget is what makes this pass: with none, not even the client's SETTINGS do.
    assert_eq!(answered_by_h2(500, 0).await, 0);
}

#[test]
fn a_minute_refills_the_account_steadily_and_never_beyond_its_cap() {
    let start = Instant::now();
    let mut account = Account::new(60, start);
    for _ in 0..60 {
        account.charge(start).expect("a full account");
    }
    assert!(account.charge(start).is_err());
    assert!(account.charge(start + Duration::from_millis(999)).is_err());
    // Many looks at the clock lose no fraction.
    for step in 0..=10 {
        account.refill(start + Duration::from_millis(1000 + 100 * step));
    }
    assert_eq!(account.frames, 2);
    account.refill(start + Duration::from_secs(3600));
    assert_eq!(account.frames, 60);
    for _ in 0..60 {
        account.charge(start + Duration::from_secs(3600)).expect("a full account");
    }
    assert!(
        account.charge(start + Duration::from_secs(3600)).is_err(),
        "an hour isn't sixty budgets"
    );
}

#[test]
fn a_budget_of_zero_passes_nothing_that_costs() {
    let start = Instant::now();
    assert!(Account::new(0, start).charge(start + REFILL).is_err());
}

#[test]
fn frames_are_found_however_the_bytes_are_cut() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let bytes = random_frames(&mut random);
        let whole = found(&[&bytes]);
        assert_eq!(found(&bytes.chunks(1).collect::<Vec<_>>()), whole);
        let mut slices = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(random.usize(0..=rest.len().min(40)));
            slices.push(slice);
            rest = after;
        }
        assert_eq!(found(&slices), whole);
    }
}

#[tokio::test]
async fn a_flood_is_stopped_at_the_same_frame_however_the_bytes_are_cut() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..100 {
        let bytes = [PREFACE.to_vec(), random_frames(&mut random)].concat();
        let mut outcomes = Vec::new();
        for largest in [1, 10, 100, bytes.len()] {
            let (server, _) = duplex(1 << 20);
            let (mut server, _) = FrameBudget::new(server, 20);
            let start = Instant::now();
            server.account = Account::new(20, start + Duration::from_secs(1000)); // time stands still
            let mut rest = bytes.as_slice();
            let mut stopped = false;
            while !rest.is_empty() && !stopped {
                let (slice, after) = rest.split_at(random.usize(1..=rest.len().min(largest)));
                stopped = server.account_for_incoming(slice).is_err();
                rest = after;
            }
            outcomes.push((stopped, server.account.frames, server.last_stream));
        }
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let mut random = fastrand::Rng::with_seed(13);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.usize(0..200)).map(|_| random.u8(..)).collect();
        assert_eq!(found(&[&bytes]), found(&bytes.chunks(3).collect::<Vec<_>>()));
    }
}

fn random_frames(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.usize(1..60) {
        let payload = vec![random.u8(0..20); random.usize(0..30)];
        bytes.extend(frame(random.u8(0..12), random.u8(..), random.u32(0..1000), &payload));
    }
    bytes
}

fn found(slices: &[&[u8]]) -> Vec<Frame> {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for slice in slices {
        let Ok(()) = reader.read(slice, |frame| -> Result<(), std::convert::Infallible> {
            frames.push(frame);
            Ok(())
        });
    }
    frames
}
