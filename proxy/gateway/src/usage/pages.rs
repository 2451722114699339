//! Memory for tables that requests read at random.
//!
//! Beside a hundred thousand API keys, an entry is in none of the processor's caches, and on pages
//! of 4 KiB its page's address isn't either: each read then walks the page table, which a virtual
//! machine makes several times as long. A huge page holds as much as 512 others.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::num::NonZero;
use std::ops::Deref;
use std::ptr::NonNull;

/// A huge page of x86-64, and of AArch64 with pages of 4 KiB. Shorter tables get none.
const HUGE: usize = 2 << 20;
/// The largest of ordinary pages.
const PAGE: usize = 64 << 10;

/// Values in a mapping of their own, that begins where a huge page can. They are in huge pages as
/// far as they fill some and the kernel has them (where
/// `/sys/kernel/mm/transparent_hugepage/enabled` is not `never`), else in ordinary ones.
pub struct Pages<T> {
    mapping: Mapping,
    length: usize,
    values: PhantomData<T>,
}

/// Begins to fetch the start of a value into the cache, and doesn't wait.
#[inline]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it changes nothing that a program sees.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Memory that is its own, zero at first.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it owns its values, as a Box<[T]> does.
unsafe impl<T: Send> Send for Pages<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Pages<T> {}

impl<T> Pages<T> {
    /// Keeps these values. Without memory the process ends, as with any allocation.
    ///
    /// # Panics
    /// There are more bytes than addresses.
    pub fn of(values: impl ExactSizeIterator<Item = T>) -> Self {
        // Mappings begin with a page.
        const { assert!(align_of::<T>() <= 4096) };
        let room = values.len();
        let layout = Layout::array::<T>(room).expect("no iterator has so many values");
        let mut pages = Self { mapping: Mapping::new(layout), length: 0, values: PhantomData };
        for value in values.take(room) {
            // SAFETY: there is room for `room` values, and fewer are there.
            unsafe { pages.mapping.start.cast::<T>().add(pages.length).write(value) };
            pages.length += 1;
        }
        pages
    }

    /// What the mapping takes.
    pub fn bytes(&self) -> usize {
        self.mapping.bytes
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self::of(std::iter::empty())
    }
}

impl<T> Deref for Pages<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let start = self.mapping.start.cast::<T>().as_ptr();
        // SAFETY: the first `length` values were written, and are there until `self` is dropped.
        unsafe { std::slice::from_raw_parts(start, self.length) }
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        let values = NonNull::slice_from_raw_parts(self.mapping.start.cast::<T>(), self.length);
        // SAFETY: they were written, and nobody sees them any more.
        unsafe { values.drop_in_place() };
    }
}

impl Mapping {
    fn new(layout: Layout) -> Self {
        if layout.size() == 0 {
            let start = NonZero::new(layout.align()).expect("one at least");
            return Self { start: NonNull::without_provenance(start), bytes: 0 };
        }
        let bytes = layout.size().next_multiple_of(PAGE);
        // The kernel aligns to ordinary pages: what is before and after the part goes back.
        let is_large = bytes >= HUGE;
        let reserved = if is_large { bytes + HUGE } else { bytes };
        // SAFETY: a new mapping disturbs none that is there.
        let found = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                reserved,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let start = match NonNull::new(found.cast::<u8>()) {
            Some(start) if found != libc::MAP_FAILED => start,
            _ => handle_alloc_error(layout),
        };
        if !is_large {
            return Self { start, bytes };
        }
        let before = start.align_offset(HUGE);
        // SAFETY: the parts are of the mapping that was just made, whole pages, and nobody's yet.
        unsafe {
            let aligned = start.add(before);
            unmap(start, before);
            unmap(aligned.add(bytes), reserved - before - bytes);
            // A kernel without huge pages refuses, and ordinary ones are as good, only slower.
            libc::madvise(aligned.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
            Self { start: aligned, bytes }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's alone, and it is dropped.
        unsafe { unmap(self.start, self.bytes) };
    }
}

/// # Safety
/// These are whole pages of a mapping that nobody uses any more.
unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the caller's promise. It fails only for other arguments.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn values_are_kept_in_order_and_dropped_once() {
        let value = Arc::new(());
        for length in [0, 1, 5_000, 300_000] {
            let pages = Pages::of((0..length).map(|number| (number, value.clone())));
            assert_eq!(pages.len(), length);
            assert!(pages.iter().zip(0..).all(|(it, number)| it.0 == number));
            assert_eq!(Arc::strong_count(&value), length + 1);
            drop(pages);
            assert_eq!(Arc::strong_count(&value), 1);
        }
    }

    #[test]
    fn a_large_table_begins_where_a_huge_page_can_and_takes_no_more_than_it_needs() {
        let pages = Pages::of((0..300_000_u32).map(u64::from));
        assert_eq!(pages.as_ptr().align_offset(HUGE), 0);
        assert!((2_400_000..2_400_000 + PAGE).contains(&pages.bytes()));
    }
}
