//! Renders the templates in `shapes/` with Tollgate's engine, as `bench/template/run` tells it.
//!
//! One command a line on standard input, one answer a line on standard output:
//!
//! - `render SHAPE` answers with the rendered text as a JSON string,
//! - `measure SHAPE COUNT` renders that often and answers with the CPU time in nanoseconds.

mod request;

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use tollgate_template::{ContextWrites, Template};

use request::Request;

/// The gateway's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: bench-template SHAPES")?;
    let folder = Path::new(&folder);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["render", shape] => {
                let text = Shape::load(folder, shape)?.render()?;
                writeln!(out, "{}", serde_json::Value::from(text))?;
            }
            ["measure", shape, count] => {
                let shape = Shape::load(folder, shape)?;
                writeln!(out, "{}", shape.measure(count.parse()?)?)?;
            }
            _ => bail!("unknown command {line:?}"),
        }
        out.flush()?;
    }
    Ok(())
}

struct Shape {
    template: Template,
    request: Request,
}

impl Shape {
    fn load(folder: &Path, shape: &str) -> Result<Self> {
        let (name, body) = shape.split_once(':').context("a shape is TEMPLATE:BODY")?;
        let read = |file: String| {
            let path = folder.join(file);
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        let template = Template::parse(&read(format!("{name}.vtl"))?);
        let body = read(format!("{body}.json"))?.trim_end().to_owned();
        Ok(Self { template, request: Request::new(&read("request.json".to_owned())?, body)? })
    }

    fn render(&self) -> Result<String> {
        Ok(self.template.render(&self.request, &mut ContextWrites::default())?)
    }

    fn measure(&self, count: u32) -> Result<u64> {
        let start = cpu_nanoseconds()?;
        let mut bytes = 0;
        for _ in 0..count {
            bytes += std::hint::black_box(self.render()?).len();
        }
        std::hint::black_box(bytes);
        Ok(cpu_nanoseconds()? - start)
    }
}

/// What this process, of one thread, has spent.
fn cpu_nanoseconds() -> Result<u64> {
    let text =
        std::fs::read_to_string("/proc/self/schedstat").context("read /proc/self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}
