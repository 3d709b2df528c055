//! The paths of the setting `health_paths`.

/// A page about the health of the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HealthPage {
    /// Whether the process is alive.
    Live,
    /// Whether the server is ready for requests.
    Ready,
}

/// The paths at which the engine answers health checks.
#[derive(Clone, Debug, Default)]
pub struct HealthPaths(Vec<(Vec<u8>, HealthPage)>);

impl HealthPaths {
    /// Parses a list of paths, separated by commas. The last segment is the name of the page; a
    /// path with another name is ignored, because the settings have been checked already.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let paths = list.split(',').map(str::trim).filter_map(|path| {
            let (_, name) = path.rsplit_once('/')?;
            let page = match name {
                "livez" => HealthPage::Live,
                "readyz" => HealthPage::Ready,
                _ => return None,
            };
            Some((path.as_bytes().to_vec(), page))
        });
        Self(paths.collect())
    }

    /// Whether there are no paths.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the page at a path.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<HealthPage> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, page)| *page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_of_a_path_names_the_page() {
        let paths = HealthPaths::parse("/livez, /internal/readyz,/other");
        assert_eq!(paths.find(b"/livez"), Some(HealthPage::Live));
        assert_eq!(paths.find(b"/internal/readyz"), Some(HealthPage::Ready));
        assert_eq!(paths.find(b"/readyz"), None);
        assert_eq!(paths.find(b"/other"), None);
        assert!(HealthPaths::parse("").is_empty());
    }
}
