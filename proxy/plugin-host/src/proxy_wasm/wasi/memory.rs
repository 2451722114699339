//! A module's memory, with every access checked.

use super::{Errno, Outcome};

pub(super) struct Memory<'m>(pub(super) &'m mut [u8]);

impl Memory<'_> {
    pub(super) fn bytes(&self, pointer: u32, length: u32) -> Result<&[u8], Errno> {
        let rest = self.0.get(pointer as usize..).ok_or(Errno::Fault)?;
        rest.get(..length as usize).ok_or(Errno::Fault)
    }

    pub(super) fn bytes_mut(&mut self, pointer: u32, length: u32) -> Result<&mut [u8], Errno> {
        let rest = self.0.get_mut(pointer as usize..).ok_or(Errno::Fault)?;
        rest.get_mut(..length as usize).ok_or(Errno::Fault)
    }

    /// Two words: what is at `index` in a list of pointers with lengths.
    pub(super) fn pair(&self, list: u32, index: u32) -> Result<(u32, u32), Errno> {
        let at = index.checked_mul(8).and_then(|offset| list.checked_add(offset));
        let bytes = self.bytes(at.ok_or(Errno::Fault)?, 8)?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Ok((word(0), word(4)))
    }

    pub(super) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Outcome {
        self.bytes_mut(pointer, bytes.len() as u32)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, pointer: u32, value: u32) -> Outcome {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, pointer: u32, value: u64) -> Outcome {
        self.write(pointer, &value.to_le_bytes())
    }
}
