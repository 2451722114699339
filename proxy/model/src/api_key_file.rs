//! API keys in files: AWS's format
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html>).
//!
//! A file is comma-separated, with a heading that names the columns in any order and case: Name
//! and Key, and if wanted Description, Enabled and UsagePlanIds. Other columns are ignored. Of two
//! lines with the same key the later counts; that, and what a value may be, is left to the reader.

mod csv;

pub use csv::quoted;

/// A line that names a key.
pub struct Entry {
    /// Counted from 1.
    pub line: usize,
    pub name: String,
    /// The key's value. A secret.
    pub key: String,
    /// May be empty.
    pub description: String,
    /// True unless the file says otherwise.
    pub enabled: bool,
    pub usage_plan_ids: Vec<String>,
}

/// What can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// Doesn't repeat a key.
    pub message: String,
}

/// The lines of a file, in order. After a problem with one line the next can be read.
pub struct Entries<'a> {
    rows: csv::Rows<'a>,
    columns: Columns,
}

/// Where the columns are.
struct Columns {
    name: usize,
    key: usize,
    description: Option<usize>,
    enabled: Option<usize>,
    usage_plan_ids: Option<usize>,
}

impl<'a> Entries<'a> {
    /// # Errors
    /// The heading doesn't name the columns that there have to be.
    pub fn new(text: &'a str) -> Result<Self, Problem> {
        let mut rows = csv::Rows::new(text.strip_prefix('\u{feff}').unwrap_or(text));
        let Some(heading) = rows.next() else {
            let message = "is empty; allowed: a heading with Name and Key, and a line for each key";
            return Err(Problem { line: 1, message: message.into() });
        };
        let (line, heading) = heading.map_err(|(line, message)| Problem { line, message })?;
        let columns = Columns::find(&heading).map_err(|message| Problem { line, message })?;
        Ok(Self { rows, columns })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.rows.next()? {
            Ok((line, row)) => {
                self.columns.entry(line, &row).map_err(|message| Problem { line, message })
            }
            Err((line, message)) => Err(Problem { line, message }),
        })
    }
}

impl Columns {
    fn find(heading: &[String]) -> Result<Self, String> {
        let find =
            |name: &str| heading.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        let required = |name: &str| {
            find(name).ok_or_else(|| {
                format!("the heading has no column {name}; it must have Name and Key")
            })
        };
        Ok(Self {
            name: required("Name")?,
            key: required("Key")?,
            description: find("Description"),
            enabled: find("Enabled"),
            usage_plan_ids: find("UsagePlanIds"),
        })
    }

    fn entry(&self, line: usize, row: &[String]) -> Result<Entry, String> {
        let field = |column: usize| row.get(column).map_or("", |field| field.trim());
        let optional = |column: Option<usize>| column.map(field).unwrap_or_default();
        let enabled = match optional(self.enabled) {
            "" => true,
            text if text.eq_ignore_ascii_case("true") => true,
            text if text.eq_ignore_ascii_case("false") => false,
            text => return Err(format!("Enabled is {text:?}; allowed: true or false")),
        };
        let plans = optional(self.usage_plan_ids).split(',').map(str::trim);
        Ok(Entry {
            line,
            name: field(self.name).to_owned(),
            key: field(self.key).to_owned(),
            description: optional(self.description).to_owned(),
            enabled,
            usage_plan_ids: plans.filter(|plan| !plan.is_empty()).map(str::to_owned).collect(),
        })
    }
}
