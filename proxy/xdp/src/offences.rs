//! Who deserves a penalty.

use std::fs::File;
use std::io::{self, Read};

use tollgate_throttle::Rate;
use tollgate_throttle::penalty::{Offence, Terms};
use tollgate_throttle::sketch::Sketch;
use tollgate_throttle::source::{Seed, Source};

use crate::PenaltySettings;

/// 512 KiB: a thousand sources at their limit at a time touch one other in a thousand.
const SKETCH_BITS: u32 = 16;

/// Offences of sources that are forgiven until there are too many. Without a lock, and in a fixed
/// number of bytes.
pub(crate) struct Offences {
    sketch: Sketch,
    tolerated: Rate,
    terms: Terms,
}

impl Offences {
    pub(crate) fn new(settings: &PenaltySettings) -> io::Result<Self> {
        Ok(Self {
            sketch: Sketch::new(SKETCH_BITS, random_seed()?),
            tolerated: settings.tolerated,
            terms: settings.terms(),
        })
    }

    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    /// Whether this was more than is forgiven.
    pub(crate) fn are_too_many(&self, source: Source, offence: Offence, now: u64) -> bool {
        (0..offence.cost()).any(|_| self.sketch.take(source, self.tolerated, now).is_err())
    }
}

/// What nobody can guess.
pub(crate) fn random_seed() -> io::Result<Seed> {
    let mut bytes = [[0; 8]; 2];
    File::open("/dev/urandom")?.read_exact(bytes.as_flattened_mut())?;
    Ok(Seed(bytes.map(u64::from_ne_bytes)))
}
