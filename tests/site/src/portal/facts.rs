//! One listing, drawn but not yet written: which words, which price, which pictures; and the functions that write each
//! field, as the value that a spider extracts or as the markup that a page shows.

use super::day::Day;
use super::words::{FEATURES, KINDS, MOODS, QUARTER_ENDS, QUARTER_STARTS, SENTENCES, SIZES, TOWNS, Town};
use super::{Dice, IMAGE_COUNT, push_number};

/// In which form a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a spider must extract it.
    Value,
    /// As a page shows it: escaped, and for some listings with odd spaces, odd case, or in several text nodes.
    Markup,
}

/// What is drawn for a listing. Questions to the dice are numbered here so that none is asked for two things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub number: usize,
    dice: Dice,
    pence: u64,
    modified: Day,
}

mod question {
    pub const TITLE_WORDS: u64 = 1; // to 5
    pub const TITLE_STYLE: u64 = 6;
    pub const PRICE: u64 = 7;
    pub const PRICE_STYLE: u64 = 8;
    pub const SENTENCE_COUNT: u64 = 9;
    pub const SENTENCE: u64 = 10; // to 19
    pub const TEXT_STYLE: u64 = 20;
    pub const TOWN: u64 = 21;
    pub const QUARTER: u64 = 22; // to 23
    pub const PLACE_STYLE: u64 = 24;
    pub const IMAGE_COUNT: u64 = 25;
    pub const IMAGE: u64 = 26; // to 29
    pub const LIFE: u64 = 30; // to 32
    pub const MODIFIED: u64 = 33;
    pub const EXTRA: u64 = 34; // from here on for pages
}

/// How long the life of a listing that comes and goes repeats itself, in days.
const LIFE_CYCLE_DAYS: i64 = 28;
/// Of these, how many it is offered.
const LIFE_OFFERED_DAYS: i64 = 21;

impl Facts {
    /// Draws a listing; `None` when it is not offered on `day`.
    pub fn of(dice: Dice, number: usize, day: Option<Day>) -> Option<Facts> {
        let town = &TOWNS[dice.below(question::TOWN, TOWNS.len())];
        // Two draws multiplied: many cheap ones, few dear ones. 80 to about 1,450 pounds a week before the town's factor.
        let spread =
            (1_000 + dice.below(question::PRICE, 36_000) as u64) * (20 + dice.draw(question::PRICE) % 350) / 100;
        let pence = (8_000 + spread) * town.price_percent / 100;
        let pence = if dice.draw(question::PRICE_STYLE) % 16 == 3 { pence / 100 * 100 } else { pence };
        let modified = -i64::try_from(dice.below(question::MODIFIED, 300)).expect("small");
        let mut facts = Facts { number, dice, pence, modified: Day::base().plus(modified).expect("in range") };
        if let Some(day) = day {
            facts = facts.live(day)?;
        }
        Some(facts)
    }

    /// The listing on a day: seven in ten never change; of the others half come and go, half change their price.
    fn live(mut self, day: Day) -> Option<Facts> {
        let phase = i64::try_from(self.dice.below(question::LIFE + 1, 1_000)).expect("small");
        let days = day.number() + phase;
        match self.dice.below(question::LIFE, 20) {
            0..14 => {}
            14..17 => {
                let at = days.rem_euclid(LIFE_CYCLE_DAYS);
                if at >= LIFE_OFFERED_DAYS {
                    return None;
                }
                self.modified = day.plus(-at)?;
            }
            _ => {
                let period = 3 + i64::try_from(self.dice.below(question::LIFE + 2, 12)).expect("small");
                let step = days.div_euclid(period);
                // Up or down by at most 12 per cent of the first price; some steps change nothing.
                let percent = 88 + Dice::new(self.dice.draw(question::LIFE), step.unsigned_abs()).below(0, 25) as u64;
                self.pence = self.pence * percent / 100;
                self.modified = day.plus(-days.rem_euclid(period))?;
            }
        }
        Some(self)
    }

    pub fn pence(&self) -> u64 {
        self.pence
    }

    pub fn modified(&self) -> Day {
        self.modified
    }

    pub fn town(&self) -> &'static Town {
        &TOWNS[self.dice.below(question::TOWN, TOWNS.len())]
    }

    /// Whether its page carries JSON-LD.
    pub fn has_json_ld(&self) -> bool {
        self.number % 4 == 1
    }

    /// A number for what a page needs beside the fields.
    pub fn extra(&self, question: u64) -> u64 {
        self.dice.draw(question::EXTRA + question)
    }

    fn title_words(&self) -> [&'static str; 4] {
        [
            self.dice.pick(question::TITLE_WORDS, MOODS),
            self.dice.pick(question::TITLE_WORDS + 1, SIZES),
            self.dice.pick(question::TITLE_WORDS + 2, KINDS),
            self.dice.pick(question::TITLE_WORDS + 3, FEATURES),
        ]
    }

    /// The title as the site's database has it: some in capitals, some in small letters, some with spaces around.
    pub fn push_raw_title(&self, out: &mut String) {
        let style = self.dice.below(question::TITLE_STYLE, 10);
        out.push_str(if style >= 8 { "\n      " } else { "" });
        for (at, word) in self.title_words().into_iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            match style {
                0..5 => out.push_str(word),
                5..9 => word.chars().flat_map(char::to_lowercase).for_each(|c| out.push(c)),
                _ => word.chars().flat_map(char::to_uppercase).for_each(|c| out.push(c)),
            }
        }
        out.push_str(if style >= 8 { "  \t\n    " } else { "" });
    }

    pub fn push_title(&self, out: &mut String, form: Form) {
        match form {
            Form::Value => {
                for (at, word) in self.title_words().into_iter().enumerate() {
                    if at > 0 {
                        out.push(' ');
                    }
                    out.push_str(word);
                }
            }
            Form::Markup => {
                let from = out.len();
                self.push_raw_title(out);
                // The only character of a title that needs escaping; at most one.
                if let Some(at) = out[from..].find('&') {
                    out.insert_str(from + at + 1, "amp;");
                }
            }
        }
    }

    /// The price as a page shows it, `£1,334.39pw`: some without the separator, some without pence, some with an entity.
    pub fn push_price(&self, out: &mut String) {
        let style = self.dice.draw(question::PRICE_STYLE) % 16;
        out.push_str(if style == 1 { "&pound;" } else { "£" });
        let (pounds, pence) = (self.pence / 100, self.pence % 100);
        if pounds >= 1_000 && style != 2 {
            push_number(out, pounds / 1_000, 1);
            out.push(',');
            push_number(out, pounds % 1_000, 3);
        } else {
            push_number(out, pounds, 1);
        }
        if !(style == 3 && pence == 0) {
            out.push('.');
            push_number(out, pence, 2);
        }
        out.push_str("pw");
    }

    /// The description: its sentences joined with a space, or as markup with several text nodes for most.
    pub fn push_description(&self, out: &mut String, form: Form) {
        let count = 2 + self.dice.below(question::SENTENCE_COUNT, 4);
        let first = self.dice.below(question::SENTENCE, SENTENCES.len());
        let stride = [5, 7, 11][self.dice.below(question::SENTENCE + 1, 3)];
        let style = self.dice.below(question::TEXT_STYLE, 8);
        for nth in 0..count {
            let sentence = SENTENCES[(first + nth * stride) % SENTENCES.len()];
            match form {
                Form::Value => out.push_str(if nth > 0 { " " } else { "" }),
                Form::Markup => out.push_str(match (nth, style) {
                    (0, 6 | 7) => "\n        ",
                    (0, _) => "",
                    (_, 0..3) => " ",
                    (_, 3 | 4) => "<br>",
                    (1, 5) => " <b>Viewing by appointment.</b> ",
                    (_, 5) => " ",
                    (_, 6) => "<br />\n        ",
                    (_, _) => "<!-- edited -->",
                }),
            }
            match form {
                Form::Value => out.push_str(sentence),
                Form::Markup => push_escaped(out, sentence, style % 3 == 1),
            }
        }
        if form == Form::Markup && style >= 6 {
            out.push_str("\n      ");
        }
    }

    /// The address, `Ashford, London`.
    pub fn push_address(&self, out: &mut String) {
        let start = self.dice.pick(question::QUARTER, QUARTER_STARTS);
        let end = self.dice.pick(question::QUARTER + 1, QUARTER_ENDS);
        out.push_str(start);
        if start.ends_with(' ') {
            let mut letters = end.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).for_each(|c| out.push(c));
            out.push_str(letters.as_str());
        } else {
            out.push_str(end);
        }
        out.push_str(", ");
        out.push_str(self.town().name);
    }

    /// The element of the address with its text: plain, with spaces around, or behind an icon.
    pub fn push_place(&self, out: &mut String) {
        let style = self.dice.below(question::PLACE_STYLE, 4);
        out.push_str("<span class=\"where\" itemscope itemtype=\"http://schema.org/Place\">");
        out.push_str(match style {
            0 | 1 => "",
            2 => "\n        ",
            _ => "\n        <i class=\"pin\"></i> ",
        });
        self.push_address(out);
        out.push_str(if style >= 2 { "\n      </span>" } else { "</span>" });
    }

    /// The numbers of its images, one to three.
    pub fn images(&self) -> impl Iterator<Item = usize> + use<> {
        let dice = self.dice;
        let count = [1, 1, 2, 3][dice.below(question::IMAGE_COUNT, 4)];
        (0..count).map(move |nth| dice.below(question::IMAGE + nth, IMAGE_COUNT))
    }
}

/// Appends text with `&`, `<` and `>` escaped, and with `named` also some letters and signs as named characters.
pub(crate) fn push_escaped(out: &mut String, text: &str, named: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '&' | '<' | '>') || (named && !c.is_ascii())) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let c = tail.chars().next().expect("found above");
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '’' => out.push_str("&rsquo;"),
            '–' => out.push_str("&ndash;"),
            '½' => out.push_str("&frac12;"),
            'é' => out.push_str("&eacute;"),
            '£' => out.push_str("&pound;"),
            other => {
                out.push_str("&#");
                push_number(out, u64::from(u32::from(other)), 1);
                out.push(';');
            }
        }
        rest = &tail[c.len_utf8()..];
    }
    out.push_str(rest);
}
