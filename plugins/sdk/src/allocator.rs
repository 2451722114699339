//! The allocator of plugins: small blocks cost a few instructions each.
//!
//! A plugin allocates a few dozen short strings and vectors in each call and frees them again, and
//! a general allocator is most of what that costs. Here a block of up to [`LARGEST`] bytes is of
//! one of [`CLASSES`] sizes; a freed one goes on the list of its size, where the next one of that
//! size is taken from. What a plugin needed at most of each size stays reserved for that size.
//! Larger blocks are std's, at cache lines. The host copies bodies to and from them, and some of
//! its processors (AMD's since Zen 3, where libc has `rep movsb` do it) take thirty times as long
//! when the one begins a few bytes further into a page of memory than the other.
//!
//! The first blocks are in memory that every instance has from the beginning: one that needs
//! little never has its memory grown, and so starts sooner.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: SmallBlocks = SmallBlocks::new();

/// Sizes are multiples of this, which is also how blocks are aligned.
const STEP: usize = 16;
const CLASSES: usize = 128;
const LARGEST: usize = STEP * CLASSES;
/// Blocks are cut from pieces of this many bytes,
const PIECE: usize = 16 * 1024;
/// and before those from one of this many, of which untouched parts cost nothing.
const FIRST_PIECE: usize = 32 * 1024;

/// How larger blocks are aligned.
const LINE: usize = 64;

/// For one thread. It must not be moved once it was used.
pub(crate) struct SmallBlocks {
    blocks: UnsafeCell<Blocks>,
    first_piece: FirstPiece,
}

#[repr(align(16))]
struct FirstPiece(UnsafeCell<[u8; FIRST_PIECE]>);

// SAFETY: the module is only for targets without threads, and an allocator is not entered again
// while it runs. Each test has its own.
unsafe impl Sync for SmallBlocks {}

struct Blocks {
    /// The block of each size that was freed last; it holds the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the current piece.
    piece: *mut u8,
    left: usize,
    has_begun: bool,
}

/// Which of the sizes a block is of; none for one that is large or wants to be aligned further.
#[inline(always)]
fn class(layout: Layout) -> Option<usize> {
    let is_small = layout.size() <= LARGEST && layout.align() <= STEP;
    // There are no layouts of no bytes here.
    is_small.then(|| layout.size().wrapping_sub(1) / STEP)
}

/// The layout that a larger block has from std.
#[inline(always)]
fn large(layout: Layout) -> Layout {
    // A layout that ends within a line of the address space's end can't be had anyway.
    layout.align_to(LINE).unwrap_or(layout)
}

impl SmallBlocks {
    const fn new() -> Self {
        let free = [ptr::null_mut(); CLASSES];
        let blocks = Blocks { free, piece: ptr::null_mut(), left: 0, has_begun: false };
        let first_piece = FirstPiece(UnsafeCell::new([0; FIRST_PIECE]));
        Self { blocks: UnsafeCell::new(blocks), first_piece }
    }

    #[inline(always)]
    fn take(&self, class: usize) -> *mut u8 {
        // SAFETY: nothing in there allocates from here, so nobody else is in it.
        unsafe { &mut *self.blocks.get() }.take(class, self.first_piece.0.get().cast())
    }

    /// # Safety
    /// The block is of that class, and nobody's any more.
    #[inline(always)]
    unsafe fn put(&self, class: usize, block: *mut u8) {
        // SAFETY: as above, and the caller's promise.
        unsafe { (&mut *self.blocks.get()).put(class, block) }
    }
}

impl Blocks {
    #[inline(always)]
    fn take(&mut self, class: usize, first_piece: *mut u8) -> *mut u8 {
        let Some(first) = self.free.get_mut(class) else { return ptr::null_mut() };
        let block = *first;
        if block.is_null() {
            return self.cut((class + 1) * STEP, first_piece);
        }
        // SAFETY: a block on the list is nobody's, at least as large as a pointer, and begins with
        // the address of the next.
        *first = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    /// # Safety
    /// The block is of that class, and nobody's any more.
    #[inline(always)]
    unsafe fn put(&mut self, class: usize, block: *mut u8) {
        let Some(first) = self.free.get_mut(class) else { return };
        // SAFETY: it is at least as large as a pointer, and aligned.
        unsafe { block.cast::<*mut u8>().write(*first) };
        *first = block;
    }

    #[inline(never)]
    fn cut(&mut self, size: usize, first_piece: *mut u8) -> *mut u8 {
        if self.left < size && !self.next_piece(first_piece) {
            return ptr::null_mut();
        }
        let block = self.piece;
        self.left -= size;
        // SAFETY: at most to the end of the piece.
        self.piece = unsafe { block.add(size) };
        block
    }

    /// Whether there was memory for one.
    #[cold]
    fn next_piece(&mut self, first_piece: *mut u8) -> bool {
        if self.left >= STEP {
            // The rest is too small for the block that is wanted, and so is a block of a class.
            // SAFETY: it is of that class, and was never anybody's.
            unsafe { self.put(self.left / STEP - 1, self.piece) };
        }
        if !self.has_begun {
            self.has_begun = true;
            (self.piece, self.left) = (first_piece, FIRST_PIECE);
            return true;
        }
        // SAFETY: neither of the numbers is 0, and the second is a power of two.
        let piece = unsafe { System.alloc(Layout::from_size_align_unchecked(PIECE, STEP)) };
        (self.piece, self.left) = (piece, if piece.is_null() { 0 } else { PIECE });
        !piece.is_null()
    }
}

// SAFETY: a block is either one of a class, which is on a list or somebody's but never both, or
// std's; which of the two follows from its layout alone.
unsafe impl GlobalAlloc for SmallBlocks {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            Some(class) => self.take(class),
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(large(layout)) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            // SAFETY: a block with this layout is of this class.
            Some(class) => unsafe { self.put(class, block) },
            // SAFETY: the caller's promise.
            None => unsafe { System.dealloc(block, large(layout)) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class(layout).is_none() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(large(layout)) };
        }
        // SAFETY: the caller's promise; the block is as large as its layout says.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that it is a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(new)) {
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(block, large(layout), size) },
            (Some(before), Some(after)) if before == after => block,
            // SAFETY: both blocks have room for what is copied, and are not the same.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// A block in use, filled with a byte of its own.
    struct Held {
        block: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Held {
        fn is_intact(&self) -> bool {
            // SAFETY: it is in use, and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(self.block, self.layout.size()) };
            bytes.iter().all(|byte| *byte == self.byte)
        }
    }

    /// Numbers without a pattern, the same each time.
    fn random() -> impl FnMut(usize) -> usize {
        let mut state = 0x9e37_79b9_u64;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        }
    }

    #[test]
    fn blocks_in_use_never_overlap_and_keep_what_is_in_them() {
        let blocks = SmallBlocks::new();
        let (mut random, mut held) = (random(), Vec::<Held>::new());
        for round in 0..20_000_usize {
            let byte = round as u8;
            // SAFETY: layouts are those that blocks were allocated with, and no block is used
            // after it was freed.
            unsafe {
                match random(5) {
                    0 | 1 => {
                        let layout = layout(1 + random(2_500), 1 << random(6));
                        let block = blocks.alloc(layout);
                        assert_eq!(block.addr() % layout.align(), 0);
                        block.write_bytes(byte, layout.size());
                        held.push(Held { block, layout, byte });
                    }
                    2 => {
                        let layout = layout(1 + random(2_500), 1);
                        let block = blocks.alloc_zeroed(layout);
                        held.push(Held { block, layout, byte: 0 });
                        assert!(held.last().unwrap().is_intact());
                    }
                    3 if !held.is_empty() => {
                        let at = random(held.len());
                        let it = held.swap_remove(at);
                        assert!(it.is_intact());
                        let size = 1 + random(2_500);
                        let block = blocks.realloc(it.block, it.layout, size);
                        let layout = layout(size, it.layout.align());
                        let kept = Held {
                            block,
                            layout: self::layout(size.min(it.layout.size()), 1),
                            byte: it.byte,
                        };
                        assert!(kept.is_intact());
                        block.write_bytes(byte, size);
                        held.push(Held { block, layout, byte });
                    }
                    _ if !held.is_empty() => {
                        let at = random(held.len());
                        let it = held.swap_remove(at);
                        assert!(it.is_intact());
                        blocks.dealloc(it.block, it.layout);
                    }
                    _ => {}
                }
            }
        }
        assert!(held.iter().all(Held::is_intact));
    }

    #[test]
    fn large_blocks_are_at_cache_lines() {
        let (blocks, before, after) = (SmallBlocks::new(), layout(10_240, 1), layout(30_000, 1));
        // SAFETY: the layouts are those that the blocks were allocated with.
        unsafe {
            let block = blocks.realloc(blocks.alloc(before), before, after.size());
            assert_eq!(block.addr() % LINE, 0);
            let zeroed = blocks.alloc_zeroed(before);
            assert_eq!(zeroed.addr() % LINE, 0);
            let small = layout(20, 1);
            let grown = blocks.realloc(blocks.alloc(small), small, before.size());
            assert_eq!(grown.addr() % LINE, 0);
            blocks.dealloc(block, after);
            blocks.dealloc(zeroed, before);
            blocks.dealloc(grown, before);
        }
    }

    #[test]
    fn what_was_freed_is_used_again() {
        let blocks = SmallBlocks::new();
        let (first, same, other) = (layout(33, 1), layout(48, 8), layout(49, 1));
        // SAFETY: as above.
        unsafe {
            let block = blocks.alloc(first);
            blocks.dealloc(block, first);
            assert_ne!(blocks.alloc(other), block);
            assert_eq!(blocks.alloc(same), block);
            assert_eq!(blocks.realloc(block, same, 40), block);
            // A million blocks, one after the other, are one.
            let before = blocks.alloc(first);
            for _ in 0..1_000_000 {
                let block = blocks.alloc(layout(LARGEST, 1));
                blocks.dealloc(block, layout(LARGEST, 1));
            }
            assert!((*blocks.blocks.get()).left > FIRST_PIECE / 2);
            blocks.dealloc(before, first);
        }
    }
}
