//! Sets the name of the process in `ps`. The kernel shows the memory that holds the arguments, so
//! the title overwrites them. A longer title also overwrites the environment, which follows the
//! arguments.

/// Sets the process title. Returns whether the system supports it.
#[cfg(target_os = "linux")]
pub(super) fn set_title(title: &str) -> bool {
    use std::sync::{Mutex, PoisonError};

    static AREA: Mutex<Option<linux::TitleArea>> = Mutex::new(None);

    // A poisoned lock guards plain numbers, which are always valid.
    let mut area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    if area.is_none() {
        *area = linux::TitleArea::locate();
    }
    area.as_mut().is_some_and(|area| area.write(title))
}

/// Returns false: on other systems `ps` does not read the memory of the arguments, or it cannot be
/// located this way.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_title(_title: &str) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, c_char};
    use std::{fs, ptr, slice};

    /// The addresses of the arguments and of the environment, which the kernel places directly
    /// after them.
    pub(super) struct TitleArea {
        start: usize,
        arguments_end: usize,
        end: usize,
        is_environment_moved: bool,
    }

    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
    }

    impl TitleArea {
        /// Locates the memory with `/proc/self/stat` (fields 48 to 51, `proc_pid_stat(5)`).
        pub(super) fn locate() -> Option<Self> {
            let stat = fs::read_to_string("/proc/self/stat").ok()?;
            // The program name, in parentheses, may contain any character, including spaces.
            let (_, fields) = stat.rsplit_once(')')?;
            let mut numbers = fields.split_ascii_whitespace().skip(45).map(str::parse);
            let mut next = || numbers.next()?.ok();
            let (start, arguments_end): (usize, usize) = (next()?, next()?);
            let (environment, environment_end): (usize, usize) = (next()?, next()?);
            if start == 0 || arguments_end <= start {
                return None;
            }
            let is_adjacent = environment == arguments_end && environment_end > environment;
            let end = if is_adjacent { environment_end } else { arguments_end };
            Some(Self { start, arguments_end, end, is_environment_moved: false })
        }

        pub(super) fn write(&mut self, title: &str) -> bool {
            let arguments_len = self.arguments_end - self.start;
            let mut bytes: Vec<u8> = title.bytes().map(|b| if b == 0 { b' ' } else { b }).collect();
            if bytes.len() >= arguments_len && !self.is_environment_moved {
                move_environment();
                self.is_environment_moved = true;
            }
            let available =
                if self.is_environment_moved { self.end - self.start } else { arguments_len };
            bytes.truncate(available - 1);
            // SAFETY: the kernel mapped this memory writable for the life of the process. No code
            // reads the old arguments: libuv copied them at start. If `available` includes the
            // environment, it has been moved. JavaScript threads write titles under a lock.
            let area = unsafe { slice::from_raw_parts_mut(self.start as *mut u8, available) };
            let (text, rest) = area.split_at_mut(bytes.len());
            text.copy_from_slice(&bytes);
            rest.fill(0);
            if bytes.len() + 1 < arguments_len {
                // With a non-zero byte at the end of the arguments, the kernel treats the memory as
                // a title that ends at its first zero byte. Otherwise `ps` shows the rest of the
                // area as spaces.
                area[arguments_len - 1] = b'.';
            }
            set_command_name(&bytes);
            true
        }
    }

    /// Moves the environment to memory of its own. The copy is never freed, since `getenv` returns
    /// pointers into it.
    fn move_environment() {
        let mut copy: Vec<*mut c_char> = Vec::new();
        // SAFETY: `environ` is null or a null-terminated list of C strings. No other thread changes
        // it meanwhile. Node changes the environment on the thread that calls this, and the threads
        // of the engine only read it. A reader sees the old list or the new one; both are valid.
        unsafe {
            let mut entry = environ;
            while !entry.is_null() && !(*entry).is_null() {
                copy.push(libc::strdup(*entry));
                entry = entry.add(1);
            }
            copy.push(ptr::null_mut());
            environ = Box::leak(copy.into_boxed_slice()).as_mut_ptr();
        }
    }

    /// Sets the command name, which `ps -o comm`, `top` and `pkill` use. The kernel stores 15
    /// bytes.
    fn set_command_name(title: &[u8]) {
        let Ok(name) = CString::new(&title[..title.len().min(15)]) else {
            return;
        };
        // SAFETY: the C string outlives the call.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}
