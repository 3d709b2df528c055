//! The N-API face of the engine.
