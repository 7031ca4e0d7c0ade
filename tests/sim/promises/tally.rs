//! How much of everything there was in a run, so that it shows when a promise was never put to the test.

macro_rules! tally {
    ($($name:ident)*) => {
        /// How much of everything there was.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Tally { $(pub $name: u64,)* }

        impl Tally {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Whether there was none of something.
            pub fn has_none(&self) -> bool {
                [$(self.$name),*].contains(&0)
            }

            /// How much there was of something.
            pub fn of(&self, name: &str) -> Option<u64> {
                match name { $(stringify!($name) => Some(self.$name),)* _ => None }
            }
        }
    };
}

tally! { messages requests together sent failed dead held repeats throttled statuses crashes jumps }
