//! The bounds of a rendering. Exceeding one fails the template with an error that names it.

/// Iterations of all `#foreach` loops of one rendering together: AWS's quota
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>).
pub const MAX_LOOP_ITERATIONS: u32 = 1_000;

/// Nodes, expressions and method calls of one rendering; a large template with full loops takes
/// some hundred thousand.
pub const MAX_STEPS: u64 = 2_000_000;

/// Bytes a template may render, and bytes of any single string it may build: the payload quota,
/// 10 MB.
pub const MAX_OUTPUT_BYTES: usize = 10 * 1024 * 1024;

/// Bytes of all strings and collection entries one rendering may make besides its output.
pub const MAX_WORKING_BYTES: usize = 64 * 1024 * 1024;

/// Blocks, calls, list and map literals within each other, in a template's text.
pub const MAX_SYNTAX_NESTING: usize = 100;

/// Macros, `#define` blocks and `#evaluate` running within each other.
pub const MAX_CALL_NESTING: u32 = 20;

/// Blocks and expressions running within each other, macros and `#evaluate` included. Keeps a
/// rendering within half a megabyte of stack.
pub const MAX_RENDER_NESTING: u32 = 250;

/// Objects and arrays within each other, in JSON that a template reads.
pub const MAX_JSON_NESTING: usize = 512;

/// Characters of one number in JSON that a template reads: converting takes time with their
/// square. Beyond it the text counts as no JSON.
pub const MAX_JSON_NUMBER_CHARACTERS: usize = 1_000;

/// How often a regular expression may backtrack in search of one match. What it reads meanwhile
/// takes of [`MAX_STEPS`].
pub const MAX_REGEX_BACKTRACKING: usize = 262_144;

/// What one rendering has left.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: u64,
    iterations: u32,
    working_bytes: usize,
}

/// A rendering met one of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
// As wide as the parts of a value, which it shares outcomes with.
#[repr(u64)]
pub(crate) enum LimitExceeded {
    #[error("the template's #foreach loops ran more than {MAX_LOOP_ITERATIONS} times")]
    LoopIterations,
    #[error("the template took more than {MAX_STEPS} steps")]
    Steps,
    #[error("the template made a text of more than {MAX_OUTPUT_BYTES} bytes")]
    OutputBytes,
    #[error("the template's strings, lists and maps took more than {MAX_WORKING_BYTES} bytes")]
    WorkingBytes,
    #[error(
        "more than {MAX_CALL_NESTING} macros, #define or #evaluate blocks run within each other"
    )]
    CallNesting,
    #[error("more than {MAX_RENDER_NESTING} blocks and expressions run within each other")]
    RenderNesting,
    #[error("lists and maps lie more than {MAX_JSON_NESTING} deep within each other")]
    ValueNesting,
    #[error("lists and maps are nested deeper than {MAX_JSON_NESTING}")]
    JsonNesting,
    #[error("a regular expression backtracked more than {MAX_REGEX_BACKTRACKING} times")]
    RegexBacktracking,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: MAX_STEPS, iterations: MAX_LOOP_ITERATIONS, working_bytes: MAX_WORKING_BYTES }
    }
}

impl Budget {
    /// Spends `count` steps.
    pub(crate) fn steps(&mut self, count: u64) -> Result<(), LimitExceeded> {
        self.steps = self.steps.checked_sub(count).ok_or(LimitExceeded::Steps)?;
        Ok(())
    }

    pub(crate) fn iteration(&mut self) -> Result<(), LimitExceeded> {
        self.iterations = self.iterations.checked_sub(1).ok_or(LimitExceeded::LoopIterations)?;
        Ok(())
    }

    /// Spends memory for a string or for entries of a collection, before it is made. Nothing is
    /// given back: a rendering is short.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<(), LimitExceeded> {
        if bytes > MAX_OUTPUT_BYTES {
            return Err(LimitExceeded::OutputBytes);
        }
        self.working_bytes =
            self.working_bytes.checked_sub(bytes).ok_or(LimitExceeded::WorkingBytes)?;
        Ok(())
    }
}
