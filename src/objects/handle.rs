//! The handle of a store, for readers on threads that may block.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::runtime::{Builder, Runtime};

use super::store::{ObjectBody, ObjectStore, ObjectVersion, StoreError, StoreErrorKind};
use super::uri::ObjectUri;

/// Requests in a row that may fail before an input counts as unreadable at its first byte. The waits between them add up to 40 s; doubled, to three
/// minutes.
const MAX_FAILURES_AT_FIRST: u32 = 9;
/// The same once bytes were read: 15 minutes, as long as calls are tried by default. Halved, a shorter outage ends a run.
const MAX_FAILURES: u32 = 66;
/// Wait before the second request; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(15);

/// A handle of the store, which is connected to when it is first used. Clones share it. The default one has no store.
#[derive(Clone, Default)]
pub struct Objects(Option<Arc<Shared>>);

struct Shared {
    store: Arc<dyn ObjectStore>,
    /// Requests run here, so that a thread may wait for one wherever it runs itself.
    runtime: OnceLock<Background>,
    /// The versions of the objects that were opened: all readings of a run are of one version.
    pinned: Mutex<HashMap<ObjectUri, ObjectVersion>>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.0.as_ref().map(|shared| &shared.store);
        f.debug_tuple("Objects").field(&store).finish()
    }
}

/// A runtime that is not waited for when it is dropped: that would panic within another runtime.
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An object is no longer of the version that was read before.
#[derive(Debug, thiserror::Error)]
#[error("the object was changed or replaced")]
pub struct ObjectChanged;

impl Objects {
    /// Returns a handle of this store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(Some(Arc::new(Shared {
            store,
            runtime: OnceLock::new(),
            pinned: Mutex::default(),
        })))
    }

    /// Returns the store.
    ///
    /// # Errors
    /// There is none.
    pub fn store(&self) -> io::Result<Arc<dyn ObjectStore>> {
        Ok(Arc::clone(&self.shared()?.store))
    }

    fn shared(&self) -> io::Result<&Arc<Shared>> {
        self.0.as_ref().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "this command reads nothing from S3, or the program was built without the feature `s3`",
            )
        })
    }

    /// Opens an object at its beginning. If it was opened before, it must be of the same version still.
    ///
    /// # Errors
    /// It is missing, or [another one](ObjectChanged), or cannot be read.
    pub fn open(&self, uri: &ObjectUri) -> io::Result<ObjectReader> {
        let shared = self.shared()?;
        let mut reader = ObjectReader {
            shared: Arc::clone(shared),
            uri: uri.clone(),
            version: shared.pinned().get(uri).cloned(),
            at: 0,
            chunk: Bytes::new(),
            body: None,
        };
        reader.connect()?;
        let version = reader.version.clone();
        let version = version.expect("an open object has a version");
        shared.pinned().insert(uri.clone(), version);
        Ok(reader)
    }

    /// Returns the version of an object that was opened.
    #[must_use]
    pub fn version(&self, uri: &ObjectUri) -> Option<ObjectVersion> {
        self.0.as_ref()?.pinned().get(uri).cloned()
    }

    /// Waits for a request. The thread blocks meanwhile.
    ///
    /// # Errors
    /// No thread can be started for the requests, or it has ended.
    pub fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        self.shared()?.wait(request)
    }
}

impl Shared {
    fn pinned(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectUri, ObjectVersion>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = if let Some(runtime) = self.runtime.get() {
            runtime
        } else {
            let mut builder = Builder::new_multi_thread();
            let builder = builder.worker_threads(1).thread_name("objects");
            let runtime = Background(Some(builder.enable_all().build()?));
            self.runtime.get_or_init(|| runtime)
        };
        let (sender, received) = mpsc::sync_channel(1);
        let runtime = runtime.0.as_ref().expect("it lives as long as its owner");
        runtime.spawn(async move { sender.send(request.await) });
        received.recv().map_err(io::Error::other)
    }
}

/// Reads an object. A body that breaks off is read on from there, as long as the object is of the same version.
pub struct ObjectReader {
    shared: Arc<Shared>,
    uri: ObjectUri,
    version: Option<ObjectVersion>,
    /// Bytes received.
    at: u64,
    /// Bytes received and not handed out.
    chunk: Bytes,
    /// The rest; `None` if the connection has broken.
    body: Option<Box<dyn ObjectBody>>,
}

impl ObjectReader {
    fn is_at_end(&self) -> bool {
        let version = self.version.as_ref();
        version.is_some_and(|version| self.at >= version.size)
    }

    /// Returns whether this is another version than that of the bytes before.
    fn is_another(&self, version: &ObjectVersion) -> bool {
        let old = self.version.as_ref();
        old.is_some_and(|old| (old.size, &old.tag) != (version.size, &version.tag))
    }

    /// Returns a count of failures with its limit: a low one before the first byte, when an operator waits.
    fn failures(&self) -> Failures {
        let most = if self.at == 0 {
            MAX_FAILURES_AT_FIRST
        } else {
            MAX_FAILURES
        };
        Failures { count: 0, most }
    }

    /// Opens the object at the next byte.
    fn connect(&mut self) -> io::Result<()> {
        let mut failures = self.failures();
        while self.body.is_none() {
            let store = &self.shared.store;
            let opened = store.open(&self.uri, self.at, self.version.as_ref());
            match self.shared.wait(opened)? {
                Ok(opened) => {
                    if self.is_another(&opened.version) {
                        return Err(io::Error::other(ObjectChanged));
                    }
                    self.version = Some(opened.version);
                    self.body = Some(opened.body);
                }
                Err(error) => self.shared.wait(failures.wait(error)?)?,
            }
        }
        Ok(())
    }

    /// Receives the next chunk, over as many connections as it takes.
    fn receive(&mut self) -> io::Result<()> {
        let mut failures = self.failures();
        while self.chunk.is_empty() && !self.is_at_end() {
            self.connect()?;
            let body = self.body.take().expect("it is connected");
            match self.shared.wait(body.next())? {
                Ok(Some((chunk, body))) => {
                    self.at += chunk.len() as u64;
                    self.chunk = chunk;
                    self.body = Some(body);
                }
                // It has ended before the last byte.
                Ok(None) => {
                    let error = StoreError {
                        kind: StoreErrorKind::Temporary,
                        message: format!("the object breaks off behind byte {}", self.at),
                    };
                    self.shared.wait(failures.wait(error)?)?;
                }
                Err(error) => self.shared.wait(failures.wait(error)?)?,
            }
        }
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.receive()?;
        let n = into.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut into[..n]);
        Ok(n)
    }
}

/// Failures in a row.
struct Failures {
    count: u32,
    most: u32,
}

impl Failures {
    /// Returns the wait before the next request.
    ///
    /// # Errors
    /// The request would fail again, or has failed too often.
    fn wait(
        &mut self,
        error: StoreError,
    ) -> io::Result<impl Future<Output = ()> + Send + 'static + use<>> {
        self.count += 1;
        match error.kind {
            StoreErrorKind::Missing => Err(io::Error::new(io::ErrorKind::NotFound, error)),
            StoreErrorKind::Changed => Err(io::Error::other(ObjectChanged)),
            StoreErrorKind::Refused => Err(io::Error::new(io::ErrorKind::PermissionDenied, error)),
            StoreErrorKind::Temporary | StoreErrorKind::Expired if self.count >= self.most => {
                Err(io::Error::other(error))
            }
            StoreErrorKind::Temporary | StoreErrorKind::Expired => {
                let wait = FIRST_WAIT
                    .saturating_mul(1 << (self.count - 1).min(16))
                    .min(MAX_WAIT);
                tracing::info!(error = %error, wait_ms = wait.as_millis(), "retrying the read");
                Ok(async move { tokio::time::sleep(wait).await })
            }
        }
    }
}
