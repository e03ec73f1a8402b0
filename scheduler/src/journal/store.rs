//! sled, as far as the journal needs it: named tables of checked records, all-or-nothing writes
//! that are on disk when they return. No other file knows sled.
//!
//! sled 0.34 needs care, and this is where it is taken: its `flush` does not sync the file, so we
//! do; a half-written snapshot keeps it from opening, so it is removed first; a tree page above a
//! quarter of a segment goes to a file that is never synced, so segments are large and records
//! small; some damage makes it panic, so every call is guarded; other damage makes it forget, so
//! commits are counted (`witness.rs`).

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::error::JournalError;
use super::fact::MAX_RECORD_BYTES;
use super::lock::DirectoryLock;
use super::witness::{self, Witness};

/// The version of a stored record's form.
pub(super) const RECORD_VERSION: u8 = 1;

/// What sled writes at once at most, and keeps in memory while it does. A leaf page holds up to 17
/// records (and a key each) before sled splits it.
pub(super) const SEGMENT_BYTES: usize = 1 << 20;
const _: () = assert!(18 * (MAX_RECORD_BYTES + 1024) < SEGMENT_BYTES / 4);
/// The same where records may be as long as they once were: a journal keeps what it was made with.
pub(super) const LONG_SEGMENT_BYTES: usize = 4 << 20;
const _: () = assert!(18 * ((48 << 10) + 1024) < LONG_SEGMENT_BYTES / 4);
/// Pages that sled keeps in memory: few, so that memory is the same after 100,000 trials and after a
/// million. The system keeps what was read besides.
const CACHE_BYTES: u64 = 4 << 20;
/// sled looks for what to drop from memory only once a 256th of its pages has been touched 64 times,
/// however large these are. Whoever reads or writes touches a page once for so many bytes, lest a
/// long journal that is read once stays in memory whole.
const TOUCH_BYTES: usize = 512;
/// The key of the number of commits.
const COMMITS: &[u8] = b"commits";
/// How long the last handle of this process may take to go away.
const REOPEN_PATIENCE: Duration = Duration::from_secs(3);

macro_rules! tables {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// What is stored, and by which key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Table { $(#[doc = $doc] $variant,)* }

        impl Table {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

tables! {
    Meta "meta" "Word → the journal's own settings.",
    Studies "studies" "Study, part → a study as it was submitted.",
    Names "names" "Name → study.",
    Unfinished "unfinished" "Study → nothing: it is being created or deleted.",
    Facts "facts" "Study, sequence → a fact, or a part of one.",
    Blocks "blocks" "Study, block of entities, sequence → nothing: the fact has outcomes of it.",
    Best "best" "Study, entity → its best value and configuration.",
    Models "models" "Study, entity, configuration → where its model lies.",
    Configurations "configurations" "Study, number, part → a configuration, as format 1 had it.",
    Proposals "proposals" "Study, number → the record that proposes it and those that follow.",
    Entities "entities" "Study, entity → its key.",
    EntityByKey "entity_by_key" "Study, an entity's text → its index.",
    Summaries "summaries" "Study → where it stands.",
    Documents "documents" "Kind, name, part → what another part of the service keeps here.",
}

/// One change of one record.
pub(super) struct Write {
    pub(super) table: Table,
    pub(super) key: Vec<u8>,
    /// Nothing removes the record.
    pub(super) payload: Option<Vec<u8>>,
}

impl Write {
    pub(super) fn put(table: Table, key: Vec<u8>, payload: Vec<u8>) -> Self {
        Self { table, key, payload: Some(payload) }
    }

    pub(super) fn remove(table: Table, key: Vec<u8>) -> Self {
        Self { table, key, payload: None }
    }
}

/// A record's key, and what it holds if it is whole.
pub(super) type Found = (Vec<u8>, Result<Vec<u8>, JournalError>);

/// An open store. Fields are dropped in this order: the lock goes last.
pub(super) struct Store {
    trees: Vec<sled::Tree>,
    db: sled::Db,
    file: File,
    dir: PathBuf,
    commits: AtomicU64,
    witness: Witness,
    broken: OnceLock<String>,
    _lock: DirectoryLock,
}

impl Store {
    /// Opens the store of this directory, or makes one with segments of this size.
    pub(super) fn open(dir: &Path, segment_bytes: usize) -> Result<Self, JournalError> {
        let not_writable = |source| JournalError::NotWritable { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(not_writable)?;
        let lock = DirectoryLock::take(dir)?;
        let is_new = remove_leftovers(dir).map_err(not_writable)?;
        let db = open_patiently(dir, segment_bytes_of(dir).unwrap_or(segment_bytes))?;
        let trees = Table::ALL
            .iter()
            .map(|table| guarded("opening", || db.open_tree(table.name())))
            .collect::<Result<_, _>>()?;
        let failed = |source| JournalError::Disk { doing: "opening", source };
        let file = File::options().read(true).write(true).open(dir.join("db")).map_err(failed)?;
        let witness = Witness::open(dir).map_err(not_writable)?;
        let mut store = Self {
            trees,
            db,
            file,
            // The process may go to another folder.
            dir: std::path::absolute(dir).map_err(failed)?,
            commits: AtomicU64::new(0),
            witness,
            broken: OnceLock::new(),
            _lock: lock,
        };
        if is_new {
            store.sync()?;
            sync_folder(dir).map_err(failed)?;
        }
        store.commits = AtomicU64::new(store.count_commits(dir)?);
        Ok(store)
    }

    /// How many commits the database holds, which must be as many as the witness saw.
    fn count_commits(&self, dir: &Path) -> Result<u64, JournalError> {
        let commits = match self.get(Table::Meta, COMMITS)? {
            None => 0,
            Some(bytes) => <[u8; 8]>::try_from(bytes)
                .map(u64::from_be_bytes)
                .map_err(|_| damaged(Table::Meta, COMMITS))?,
        };
        let failed = |source| JournalError::Disk { doing: "opening", source };
        match self.witness.commits().map_err(failed)? {
            Some(seen) if seen > commits => {
                Err(JournalError::Lost { writes: seen - commits, witness: dir.join(witness::NAME) })
            }
            _ => Ok(commits),
        }
    }

    /// All of the writes or none, on disk before this returns. One thread at a time. After a
    /// failure nothing is written any more: what a failed sync left behind is unknown, and asking
    /// again does not help.
    pub(super) fn commit(&self, writes: &[Write]) -> Result<(), JournalError> {
        self.takes_writes()?;
        let commits = self.commits.load(Ordering::Relaxed) + 1;
        let placed = self.is_in_place();
        let done = placed
            .and_then(|()| self.transact(writes, commits))
            .and_then(|()| self.sync())
            .and_then(|()| {
                let failed = |source| JournalError::Disk { doing: "counting", source };
                self.witness.write(commits).map_err(failed)
            });
        self.commits.store(commits, Ordering::Relaxed);
        if let Err(error) = &done {
            let _ = self.broken.set(error.to_string());
        }
        done
    }

    /// Whether writes reach the disk, as far as that can be told without one.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        self.takes_writes().and_then(|()| self.is_in_place())
    }

    /// Whether no write has failed yet.
    pub(super) fn takes_writes(&self) -> Result<(), JournalError> {
        match self.broken.get() {
            Some(first) => Err(JournalError::Broken { first: first.clone() }),
            None => Ok(()),
        }
    }

    /// A file without a name takes writes as ever, and goes with the process.
    fn is_in_place(&self) -> Result<(), JournalError> {
        let failed = |source| JournalError::Disk { doing: "looking for its file", source };
        let ours = self.file.metadata().map_err(failed)?;
        match fs::metadata(self.dir.join("db")) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Err(failed(error))
            }
            _ => Err(JournalError::Removed { dir: self.dir.clone() }),
        }
    }

    fn transact(&self, writes: &[Write], commits: u64) -> Result<(), JournalError> {
        let mut tables: Vec<Table> = writes.iter().map(|write| write.table).collect();
        tables.push(Table::Meta);
        tables.sort_unstable();
        tables.dedup();
        let trees: Vec<&sled::Tree> = tables.iter().map(|table| self.tree(*table)).collect();
        let sealed: Vec<Option<Vec<u8>>> =
            writes.iter().map(|write| Some(seal(&write.key, write.payload.as_deref()?))).collect();
        let counted = seal(COMMITS, &commits.to_be_bytes());
        guarded("writing", || {
            trees
                .as_slice()
                .transaction(|views| {
                    let (Ok(at) | Err(at)) = tables.binary_search(&Table::Meta);
                    views[at].insert(COMMITS, counted.as_slice())?;
                    for (write, value) in writes.iter().zip(&sealed) {
                        let (Ok(at) | Err(at)) = tables.binary_search(&write.table);
                        match value {
                            Some(value) => views[at].insert(write.key.as_slice(), value.as_slice()),
                            None => views[at].remove(write.key.as_slice()),
                        }?;
                    }
                    Ok::<(), ConflictableTransactionError<std::convert::Infallible>>(())
                })
                .map_err(|error| match error {
                    TransactionError::Storage(error) => error,
                    TransactionError::Abort(never) => match never {},
                })?;
            for (write, value) in writes.iter().zip(&sealed) {
                let length = value.as_ref().map_or(0, Vec::len);
                touch(self.tree(write.table), &write.key, length)?;
            }
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), JournalError> {
        guarded("flushing", || self.db.flush())?;
        self.file.sync_data().map_err(|source| JournalError::Disk { doing: "syncing", source })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        let tree = self.tree(table);
        let found = guarded("reading", || {
            let found = tree.get(key)?;
            found.as_ref().map_or(Ok(()), |value| touch(tree, key, value.len()))?;
            Ok(found)
        })?;
        found.map(|value| unseal(table, key, &value).map(<[u8]>::to_vec)).transpose()
    }

    /// Whether there is a record of this key, damaged or not.
    pub(super) fn has(&self, table: Table, key: &[u8]) -> Result<bool, JournalError> {
        guarded("reading", || self.tree(table).contains_key(key))
    }

    /// The last record whose key begins with `prefix`, and what it holds if it is whole.
    pub(super) fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Found>, JournalError> {
        self.highest(table, self.tree(table).scan_prefix(prefix))
    }

    /// The record of this key, or else of the next lower one that begins with `prefix` too.
    pub(super) fn at_or_below(
        &self,
        table: Table,
        prefix: &[u8],
        key: &[u8],
    ) -> Result<Option<Found>, JournalError> {
        let range = (Bound::Included(prefix), Bound::Included(key));
        self.highest(table, self.tree(table).range::<&[u8], _>(range))
    }

    fn highest(&self, table: Table, mut range: sled::Iter) -> Result<Option<Found>, JournalError> {
        let last = guarded("reading", || range.next_back().transpose())?;
        Ok(last.map(|(key, value)| {
            let payload = unseal(table, &key, &value).map(<[u8]>::to_vec);
            (key.to_vec(), payload)
        }))
    }

    /// The records whose keys begin with `prefix`, from `prefix` + `from` on, in the keys' order.
    pub(super) fn scan(&self, table: Table, prefix: &[u8], from: &[u8]) -> Scan {
        let start = [prefix, from].concat();
        let end = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let tree = self.tree(table).clone();
        let range = tree.range::<Vec<u8>, _>((Bound::Included(start), end));
        Scan { table, tree, range }
    }

    /// Keys alone, without a look at the values: what is removed need not be whole.
    pub(super) fn keys(
        &self,
        table: Table,
        prefix: &[u8],
        n: usize,
    ) -> Result<Vec<Vec<u8>>, JournalError> {
        let keys = self.tree(table).scan_prefix(prefix).keys().take(n);
        guarded("reading", || keys.map(|key| key.map(|key| key.to_vec())).collect())
    }

    fn tree(&self, table: Table) -> &sled::Tree {
        &self.trees[table as usize]
    }

    #[cfg(test)]
    pub(super) fn damage(&self, table: Table, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        let mut value = self.tree(table).get(key).unwrap().unwrap().to_vec();
        change(&mut value);
        self.tree(table).insert(key, value).unwrap();
        self.sync().unwrap();
    }

    #[cfg(test)]
    pub(super) fn break_with(&self, why: &str) {
        let _ = self.broken.set(why.to_owned());
    }
}

/// Records in the order of their keys.
pub(super) struct Scan {
    table: Table,
    tree: sled::Tree,
    range: sled::Iter,
}

impl Scan {
    /// The next record, also if it is damaged.
    pub(super) fn next_found(&mut self) -> Option<Result<Found, JournalError>> {
        let next = guarded("reading", || {
            let next = self.range.next().transpose()?;
            next.as_ref().map_or(Ok(()), |(key, value)| touch(&self.tree, key, value.len()))?;
            Ok(next)
        });
        let next = next.transpose()?;
        Some(next.map(|(key, value)| {
            let payload = unseal(self.table, &key, &value).map(<[u8]>::to_vec);
            (key.to_vec(), payload)
        }))
    }
}

impl Iterator for Scan {
    type Item = Result<(Vec<u8>, Vec<u8>), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_found()?.and_then(|(key, payload)| Ok((key, payload?))))
    }
}

/// Lets sled notice that so many bytes of a record went through its memory.
fn touch(tree: &sled::Tree, key: &[u8], n_bytes: usize) -> sled::Result<()> {
    (0..n_bytes / TOUCH_BYTES).try_for_each(|_| tree.contains_key(key).map(drop))
}

/// The version, the payload, and a checksum of these and the key.
pub(super) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(payload.len() + 5);
    value.push(RECORD_VERSION);
    value.extend_from_slice(payload);
    let checksum = checksum(key, &value);
    value.extend_from_slice(&checksum);
    value
}

fn unseal<'a>(table: Table, key: &[u8], value: &'a [u8]) -> Result<&'a [u8], JournalError> {
    let (body, stored) = value.split_last_chunk::<4>().ok_or_else(|| damaged(table, key))?;
    if *stored != checksum(key, body) {
        return Err(damaged(table, key));
    }
    match body.split_first() {
        Some((&RECORD_VERSION, payload)) => Ok(payload),
        Some((&found, _)) => Err(JournalError::Newer {
            what: format!("the record {} of {}", shown(key), table.name()),
            found: u32::from(found),
            known: u32::from(RECORD_VERSION),
        }),
        None => Err(damaged(table, key)),
    }
}

/// A record that cannot be what was written.
pub(super) fn damaged(table: Table, key: &[u8]) -> JournalError {
    JournalError::Corrupt { what: format!("the record {} of {}", shown(key), table.name()) }
}

fn shown(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

/// The first key after all that begin with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Removes what a killed process may have left and sled would stumble over. Says whether the
/// directory has no database.
fn remove_leftovers(dir: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("snap.") && text.ends_with(".generating") {
            fs::remove_file(dir.join(&name))?;
        }
    }
    let is_new = fs::metadata(dir.join("db")).map_or(true, |db| db.len() == 0);
    let conf = dir.join("conf");
    if is_new && conf.exists() {
        // A half-written one would be refused, and nothing depends on it yet.
        fs::remove_file(conf)?;
    }
    Ok(is_new)
}

/// The size of segments that a database was made with, which sled opens it with only.
fn segment_bytes_of(dir: &Path) -> Option<usize> {
    let conf = fs::read(dir.join("conf")).ok()?;
    let text = String::from_utf8_lossy(&conf);
    let bytes = text.lines().find_map(|line| line.strip_prefix("segment_size: "))?.parse().ok()?;
    [SEGMENT_BYTES, LONG_SEGMENT_BYTES].contains(&bytes).then_some(bytes)
}

fn open_patiently(dir: &Path, segment_bytes: usize) -> Result<sled::Db, JournalError> {
    let config = sled::Config::new()
        .path(dir)
        .flush_every_ms(None)
        .segment_size(segment_bytes)
        .cache_capacity(CACHE_BYTES);
    let started = Instant::now();
    loop {
        match guarded("opening", || config.open()) {
            // We hold the directory's lock: it is a handle of this process that is still closing.
            Err(JournalError::Disk { source, .. })
                if source.kind() == ErrorKind::WouldBlock
                    && started.elapsed() < REOPEN_PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// sled wraps an error of the operating system in one of its own, whose words are Rust's.
fn plain(source: std::io::Error) -> std::io::Error {
    let text = source.to_string();
    let code = text.split_once("code: ").and_then(|(_, rest)| {
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    });
    match (source.raw_os_error(), code) {
        (None, Some(code)) => std::io::Error::from_raw_os_error(code),
        _ => source,
    }
}

/// Calls sled. What it reports and what it panics about both become errors.
fn guarded<T>(
    doing: &'static str,
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, JournalError> {
    let corrupt =
        |what: &str| JournalError::Corrupt { what: format!("{what}, found while {doing}") };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(source))) => {
            Err(JournalError::Disk { doing, source: plain(source) })
        }
        Ok(Err(sled::Error::Corruption { .. })) => Err(corrupt("a page of its file")),
        Ok(Err(other)) => Err(JournalError::Disk { doing, source: std::io::Error::other(other) }),
        Err(_) => Err(corrupt("its file makes no sense")),
    }
}
