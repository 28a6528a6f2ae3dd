//! the timely graph of the stage.
