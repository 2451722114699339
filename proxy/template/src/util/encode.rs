//! Encodings that replace single bytes. Nearly all text is ASCII with few bytes to replace: it is
//! taken in pieces, each byte replaced by way of a table.

/// Bytes encoded at a time.
const PIECE: usize = 64;

/// Most bytes that stand for one.
const LONGEST: usize = 3;

/// What stands for a byte: so many ASCII characters of these. None: the byte needs more.
#[derive(Clone, Copy)]
struct Replacement {
    characters: [u8; LONGEST],
    length: u8,
}

type Table = [Replacement; 256];

/// `escapeJavaScript` of Apache Commons Lang 2.
pub(super) fn escape_java_script(text: &str, out: &mut String) {
    out.reserve(text.len() + text.len() / 4);
    let mut rest = push_unchanged(text, &JAVA_SCRIPT, out);
    while !rest.is_empty() {
        let taken = push_replaced(rest.as_bytes(), &JAVA_SCRIPT, out);
        rest = rest.get(taken..).unwrap_or_default();
        let Some(special) = rest.chars().next() else { break };
        for unit in special.encode_utf16(&mut [0; 2]) {
            push_unicode_escape(*unit, out);
        }
        rest = &rest[special.len_utf8()..];
    }
}

/// Java's `URLEncoder`: a space is `+`, and of the marks only `-`, `_`, `.` and `*` stay.
pub(super) fn url_encode(text: &str, out: &mut String) {
    out.reserve(text.len() + text.len() / 2);
    let rest = push_unchanged(text, &URL, out);
    push_replaced(rest.as_bytes(), &URL, out);
}

/// Appends what needs no replacement, often all, and returns the rest.
fn push_unchanged<'s>(text: &'s str, table: &Table, out: &mut String) -> &'s str {
    let is_changed = |byte: u8| {
        let Replacement { characters, length } = table[usize::from(byte)];
        length != 1 || characters[0] != byte
    };
    let end = text.bytes().position(is_changed).unwrap_or(text.len());
    let (unchanged, rest) = text.split_at(end);
    out.push_str(unchanged);
    rest
}

/// Appends what stands for each byte, up to one that has nothing. Returns how many bytes it took.
fn push_replaced(bytes: &[u8], table: &Table, out: &mut String) -> usize {
    let mut taken = 0;
    for piece in bytes.chunks(PIECE) {
        let mut buffer = [0; PIECE * LONGEST];
        let mut length = 0;
        let mut count = 0;
        for byte in piece {
            let Replacement { characters, length: its_length } = table[usize::from(*byte)];
            if its_length == 0 {
                break;
            }
            buffer[length..length + LONGEST].copy_from_slice(&characters);
            length += usize::from(its_length);
            count += 1;
        }
        out.push_str(std::str::from_utf8(&buffer[..length]).unwrap_or_default());
        taken += count;
        if count < piece.len() {
            break;
        }
    }
    taken
}

fn push_unicode_escape(unit: u16, out: &mut String) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from(upper_hex((unit >> shift) as u8)));
    }
}

/// The hexadecimal digit of the lower four bits.
const fn upper_hex(bits: u8) -> u8 {
    b"0123456789ABCDEF"[(bits & 0xf) as usize]
}

static JAVA_SCRIPT: Table = {
    let mut table = [NOTHING; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = java_script(byte as u8);
        byte += 1;
    }
    table
};

static URL: Table = {
    let mut table = [NOTHING; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = url(byte as u8);
        byte += 1;
    }
    table
};

const NOTHING: Replacement = Replacement { characters: [0; LONGEST], length: 0 };

const fn java_script(byte: u8) -> Replacement {
    let letter = match byte {
        0x8 => b'b',
        0xc => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b'\'' | b'"' | b'\\' | b'/' => byte,
        0..=0x1f => return NOTHING,
        _ => return Replacement { characters: [byte, 0, 0], length: 1 },
    };
    Replacement { characters: [b'\\', letter, 0], length: 2 }
}

const fn url(byte: u8) -> Replacement {
    let single = match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => byte,
        b' ' => b'+',
        _ => {
            let characters = [b'%', upper_hex(byte >> 4), upper_hex(byte)];
            return Replacement { characters, length: 3 };
        }
    };
    Replacement { characters: [single, 0, 0], length: 1 }
}
