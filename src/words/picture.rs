//! Draws pictures for posts from figures alone, with a font that is in the program, so that the
//! same figures give the same bytes everywhere.

use embedded_graphics::{
    mono_font::{MonoTextStyle, ascii::FONT_10X20},
    pixelcolor::raw::RawU8,
    prelude::*,
    primitives::Rectangle,
    text::{Alignment, Baseline, Text, TextStyleBuilder},
};

use crate::domain::outbox::Picture;

/// The times that a chain's blocks took around an upgrade.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockTimes {
    pub chain: String,
    pub version_before: u32,
    pub version_after: u32,
    /// Seconds from one block to the next, oldest first; the last 60 are shown.
    pub before: Vec<f64>,
    /// Seconds between blocks with the new runtime; the first 240 are shown.
    pub after: Vec<f64>,
}

const MAX_BARS_BEFORE: usize = 60;
const MAX_BARS_AFTER: usize = 240;

// Chats show a picture at about half its size, so letters and lines are large, and lines two pixels thick.
const HEIGHT_PX: i32 = 360;
const LEFT_MARGIN_PX: i32 = 76;
const RIGHT_MARGIN_PX: i32 = 24;
/// The width of all bars is between these, by how many there are.
const MIN_BARS_PX: i32 = 700;
const MAX_BARS_PX: i32 = 900;
/// One bar with the space beside it is at most this wide.
const MAX_PITCH_PX: i32 = 32;
const TITLE_Y: i32 = 14;
const LEGEND_Y: i32 = 44;
const RUNTIME_Y: i32 = 76;
const FIGURES_Y: i32 = 98;
const BARS_TOP_Y: i32 = 122;
const BARS_BOTTOM_Y: i32 = 316;
const BLOCKS_Y: i32 = 326;
const LETTER_PX: i32 = 10;

/// A colour, as its place in the palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ink(u8);

impl PixelColor for Ink {
    type Raw = RawU8;
}

const GROUND_INK: Ink = Ink(0);
const GRID_INK: Ink = Ink(1);
const TEXT_INK: Ink = Ink(2);
const FAINT_INK: Ink = Ink(3);
const OLD_INK: Ink = Ink(4);
const OLD_MEAN_INK: Ink = Ink(5);
const NEW_INK: Ink = Ink(6);
const NEW_MEAN_INK: Ink = Ink(7);
const CUT_INK: Ink = Ink(8);

/// The ground is light, so that a picture looks the same in a dark client and in a light one. The
/// colours differ in lightness too, so that hue alone tells nothing apart.
const PALETTE_RGB: [[u8; 3]; 9] = [
    [0xfa, 0xfb, 0xfc],
    [0xdd, 0xe2, 0xe8],
    [0x1c, 0x25, 0x30],
    [0x5a, 0x67, 0x75],
    [0xb4, 0xbe, 0xc9],
    [0x4a, 0x56, 0x63],
    [0x6f, 0xa3, 0xf5],
    [0x12, 0x46, 0xa6],
    [0xd6, 0x4a, 0x12],
];

/// Draws a bar for each block, as high as the seconds since the last one, and a line where the new
/// runtime begins. A bar that is much longer than usual is cut off, with its figure above it.
pub fn block_times(data: &BlockTimes) -> Picture {
    let before = data
        .before
        .get(data.before.len().saturating_sub(MAX_BARS_BEFORE)..)
        .unwrap_or_default();
    let after = data
        .after
        .get(..data.after.len().min(MAX_BARS_AFTER))
        .unwrap_or_default();
    let (old, new) = (Figures::of(before), Figures::of(after));
    let count = as_i32(before.len() + after.len());
    let pitch = (MAX_BARS_PX / count.max(1)).min(MAX_PITCH_PX);
    let room = (pitch * count).max(MIN_BARS_PX);
    let mut canvas = Canvas::new(LEFT_MARGIN_PX + room + RIGHT_MARGIN_PX, HEIGHT_PX);
    let scale = Scale::of(&old, &new);
    let start = LEFT_MARGIN_PX + (room - pitch * count) / 2;
    let border = start + pitch * as_i32(before.len());
    let end = border + pitch * as_i32(after.len());

    canvas.frame();
    scale.draw(&mut canvas, LEFT_MARGIN_PX + room);
    let bars = [(start, before, OLD_INK), (border, after, NEW_INK)];
    let cut: Vec<Cut> = bars
        .into_iter()
        .flat_map(|(from, gaps, ink)| draw_bars(&mut canvas, &scale, from, pitch, gaps, ink))
        .collect();
    write_figures(&mut canvas, border, cut);
    for (from, to, figures, ink) in [
        (start, border, &old, OLD_MEAN_INK),
        (border, end, &new, NEW_MEAN_INK),
    ] {
        if let Some(mean) = figures.mean.filter(|mean| *mean <= scale.top) {
            canvas.fill(from, scale.y(mean) - 1, to - from, 2, ink);
        }
    }
    write_runtime(&mut canvas, border, data.version_after);
    write_blocks(&mut canvas, border, pitch, before.len(), after.len());
    let chain: String = data.chain.chars().take(28).collect();
    canvas.text(
        &format!("{chain}: seconds between blocks"),
        LEFT_MARGIN_PX,
        TITLE_Y,
        TEXT_INK,
        Alignment::Left,
    );
    if let Some(longest) = longest(&old, &new) {
        canvas.text(
            &format!("longest {}", seconds(longest)),
            LEFT_MARGIN_PX + room,
            TITLE_Y,
            TEXT_INK,
            Alignment::Right,
        );
    }
    let legend = [
        (data.version_before, &old, OLD_INK, OLD_MEAN_INK),
        (data.version_after, &new, NEW_INK, NEW_MEAN_INK),
    ];
    let mut x = LEFT_MARGIN_PX;
    for ((version, figures, ink, line), when) in legend.into_iter().zip(["before", "after"]) {
        canvas.fill(x, LEGEND_Y + 3, 14, 14, ink);
        canvas.fill(x, LEGEND_Y + 3, 14, 3, line);
        let mean = figures.mean.map_or_else(
            || "no blocks".into(),
            |mean| format!("mean {}", seconds(mean)),
        );
        x = canvas.text(
            &format!("{when} ({version}): {mean}"),
            x + 22,
            LEGEND_Y,
            TEXT_INK,
            Alignment::Left,
        ) + 3 * LETTER_PX;
    }

    let (width, height) = (canvas.width.unsigned_abs(), canvas.height.unsigned_abs());
    // Only a width or height of zero can't be encoded.
    let png = canvas.png().unwrap_or_default();
    Picture {
        name: "block-times.png".into(),
        alt: alt_text(data, &old, &new),
        width,
        height,
        png,
    }
}

/// Writes the picture's figures in words, for people who can't see it.
fn alt_text(data: &BlockTimes, old: &Figures, new: &Figures) -> String {
    let part = |figures: &Figures| match figures.mean {
        Some(mean) if figures.count == 1 => format!("1 block, {}", seconds(mean)),
        Some(mean) => format!("{} blocks, {} on average", figures.count, seconds(mean)),
        None => "no blocks".into(),
    };
    let mut words = format!(
        "Seconds between blocks on {}. Before the new runtime ({}): {}. With the new runtime ({}): {}.",
        data.chain,
        data.version_before,
        part(old),
        data.version_after,
        part(new)
    );
    if let Some(gap) = longest(old, new) {
        let when = if new.longest == Some(gap) {
            "with the new runtime"
        } else {
            "before it"
        };
        words.push_str(&format!(" The longest gap was {}, {when}.", seconds(gap)));
    }
    words
}

fn longest(old: &Figures, new: &Figures) -> Option<f64> {
    old.longest.into_iter().chain(new.longest).reduce(f64::max)
}

/// Returns a gap that can be one: a finite number of seconds, below 1e9 (31 years).
fn known(gap: f64) -> Option<f64> {
    (gap.is_finite() && gap < 1e9).then(|| gap.max(0.0))
}

fn seconds(gap: f64) -> String {
    if gap < 100.0 {
        format!("{gap:.1} s")
    } else {
        format!("{gap:.0} s")
    }
}

/// The figures of a row of gaps.
struct Figures {
    count: usize,
    mean: Option<f64>,
    median: Option<f64>,
    longest: Option<f64>,
}

impl Figures {
    fn of(gaps: &[f64]) -> Self {
        let mut known: Vec<f64> = gaps.iter().copied().filter_map(known).collect();
        known.sort_by(f64::total_cmp);
        let count = known.len();
        Self {
            count,
            mean: (count > 0).then(|| known.iter().sum::<f64>() / count as f64),
            median: known.get(count / 2).copied(),
            longest: known.last().copied(),
        }
    }
}

/// The scale turns seconds into heights.
struct Scale {
    step: f64,
    top: f64,
}

impl Scale {
    /// Makes a scale up to the longest gap, but not beyond three times a usual one.
    fn of(old: &Figures, new: &Figures) -> Self {
        const TICK_STEPS_S: [f64; 15] = [
            0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
            14_400.0, 86_400.0,
        ];
        let usual = old.median.into_iter().chain(new.median).fold(0.0, f64::max);
        let longest = longest(old, new).unwrap_or(0.0);
        let wanted = if usual > 0.0 {
            longest.min(3.0 * usual)
        } else {
            longest
        };
        let wanted = if wanted > 0.0 { wanted } else { 6.0 };
        let step = TICK_STEPS_S
            .into_iter()
            .find(|step| wanted <= 4.0 * step)
            .unwrap_or(wanted / 4.0);
        Self {
            step,
            top: (wanted / step).ceil() * step,
        }
    }

    fn y(&self, gap: f64) -> i32 {
        let share = (gap / self.top).clamp(0.0, 1.0);
        BARS_BOTTOM_Y - (share * f64::from(BARS_BOTTOM_Y - BARS_TOP_Y)).round() as i32
    }

    fn draw(&self, canvas: &mut Canvas, right: i32) {
        let ticks = (self.top / self.step).round() as i32;
        for tick in 0..=ticks {
            let at = f64::from(tick) * self.step;
            let y = self.y(at);
            canvas.fill(
                LEFT_MARGIN_PX,
                y,
                right - LEFT_MARGIN_PX,
                1,
                if tick == 0 { FAINT_INK } else { GRID_INK },
            );
            canvas.text(
                &format!("{at} s"),
                LEFT_MARGIN_PX - LETTER_PX,
                y - LETTER_PX,
                FAINT_INK,
                Alignment::Right,
            );
        }
    }
}

/// A bar cut off at the top.
struct Cut {
    x: i32,
    gap: f64,
}

fn draw_bars(
    canvas: &mut Canvas,
    scale: &Scale,
    from: i32,
    pitch: i32,
    gaps: &[f64],
    ink: Ink,
) -> Vec<Cut> {
    let width = pitch - (pitch / 5).max(1);
    let mut cut = Vec::new();
    let mut x = from;
    for gap in gaps {
        if let Some(gap) = known(*gap) {
            let is_cut = gap > scale.top;
            let y = scale.y(gap);
            // Even a gap of zero leaves a trace.
            canvas.fill(
                x,
                y.min(BARS_BOTTOM_Y - 2),
                width,
                (BARS_BOTTOM_Y - y).max(2),
                if is_cut { CUT_INK } else { ink },
            );
            if is_cut {
                canvas.fill(x, BARS_TOP_Y + 12, width, 4, GROUND_INK);
                cut.push(Cut {
                    x: x + width / 2,
                    gap,
                });
            }
        }
        x += pitch;
    }
    cut
}

/// Writes the figures above the bars that were cut off, beside the runtime's line, the longest
/// first; a figure that would touch another is left out.
fn write_figures(canvas: &mut Canvas, border: i32, mut cut: Vec<Cut>) {
    cut.sort_by(|a, b| b.gap.total_cmp(&a.gap).then(a.x.cmp(&b.x)));
    let mut taken: Vec<(i32, i32)> = Vec::new();
    for Cut { x, gap } in cut {
        let words = format!("{gap:.0} s");
        let half = LETTER_PX * as_i32(words.len()) / 2;
        let x = if x < border {
            x.min(border - half - 8)
        } else {
            x.max(border + half + 6)
        };
        let x = x.clamp(half + 8, (canvas.width - half - 8).max(half + 8));
        let (from, to) = (x - half - LETTER_PX, x + half + LETTER_PX);
        if taken
            .iter()
            .all(|(left, right)| to <= *left || from >= *right)
        {
            canvas.text(&words, x, FIGURES_Y, CUT_INK, Alignment::Center);
            taken.push((x - half, x + half));
        }
    }
}

fn write_runtime(canvas: &mut Canvas, x: i32, version: u32) {
    canvas.fill(x - 2, RUNTIME_Y, 2, BARS_BOTTOM_Y - RUNTIME_Y, TEXT_INK);
    let words = format!("runtime {version}");
    let fits = x + LETTER_PX * as_i32(words.len() + 1) < canvas.width;
    let (x, alignment) = if fits {
        (x + LETTER_PX - 2, Alignment::Left)
    } else {
        (x - LETTER_PX, Alignment::Right)
    };
    canvas.text(&words, x, RUNTIME_Y - 2, TEXT_INK, alignment);
}

/// Writes the numbers of blocks, counted from where the new runtime begins.
fn write_blocks(canvas: &mut Canvas, border: i32, pitch: i32, before: usize, after: usize) {
    let step = [1, 2, 5, 10, 30]
        .into_iter()
        .find(|step| step * pitch >= 90)
        .unwrap_or(60);
    for tick in -as_i32(before) / step..=as_i32(after) / step {
        let x = border + tick * step * pitch;
        canvas.fill(x - 1, BARS_BOTTOM_Y, 1, 6, FAINT_INK);
        let words = match tick * step {
            0 => "0 blocks".into(),
            blocks => format!("{blocks:+}"),
        };
        let half = LETTER_PX * as_i32(words.len()) / 2;
        canvas.text(
            &words,
            x.min(canvas.width - half - 4),
            BLOCKS_Y,
            FAINT_INK,
            Alignment::Center,
        );
    }
}

fn as_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

struct Canvas {
    width: i32,
    height: i32,
    /// The pixels, row by row.
    pixels: Vec<Ink>,
}

impl Canvas {
    fn new(width: i32, height: i32) -> Self {
        let pixels = usize::try_from(width * height).unwrap_or(0);
        Self {
            width,
            height,
            pixels: vec![GROUND_INK; pixels],
        }
    }

    fn fill(&mut self, x: i32, y: i32, width: i32, height: i32, ink: Ink) {
        let size = Size::new(width.max(0).unsigned_abs(), height.max(0).unsigned_abs());
        let Ok(()) = self.fill_solid(&Rectangle::new(Point::new(x, y), size), ink);
    }

    /// Draws a line around the picture, so that its edge can be seen on white too.
    fn frame(&mut self) {
        let (width, height) = (self.width, self.height);
        self.fill(0, 0, width, height, GRID_INK);
        self.fill(1, 1, width - 2, height - 2, GROUND_INK);
    }

    /// Writes a text, and returns where it ends.
    fn text(&mut self, words: &str, x: i32, y: i32, ink: Ink, alignment: Alignment) -> i32 {
        let style = TextStyleBuilder::new()
            .baseline(Baseline::Top)
            .alignment(alignment)
            .build();
        let text = Text::with_text_style(
            words,
            Point::new(x, y),
            MonoTextStyle::new(&FONT_10X20, ink),
            style,
        );
        let end = text
            .bounding_box()
            .bottom_right()
            .map_or(x, |corner| corner.x + 1);
        let Ok(_) = text.draw(self);
        end
    }

    /// Encodes the picture with two pixels a byte, since nine colours need no more.
    fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let row = usize::try_from(self.width).unwrap_or(0).max(1);
        let pack = |pair: &[Ink]| match pair {
            [left, right] => left.0 << 4 | right.0,
            [left] => left.0 << 4,
            _ => 0,
        };
        let data: Vec<u8> = self
            .pixels
            .chunks(row)
            .flat_map(|row| row.chunks(2).map(pack))
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(
            &mut bytes,
            self.width.unsigned_abs(),
            self.height.unsigned_abs(),
        );
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Four);
        encoder.set_palette(PALETTE_RGB.as_flattened());
        encoder.set_compression(png::Compression::High);
        encoder.set_filter(png::Filter::NoFilter);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&data)?;
        writer.finish()?;
        Ok(bytes)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width.unsigned_abs(), self.height.unsigned_abs())
    }
}

impl DrawTarget for Canvas {
    type Color = Ink;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Ink>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Self::Error> {
        for Pixel(Point { x, y }, ink) in pixels {
            let is_inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
            let at = usize::try_from(y * self.width + x)
                .ok()
                .filter(|_| is_inside);
            if let Some(pixel) = at.and_then(|at| self.pixels.get_mut(at)) {
                *pixel = ink;
            }
        }
        Ok(())
    }

    /// Fills row by row, since a picture is mostly ground and bars.
    fn fill_solid(&mut self, area: &Rectangle, ink: Ink) -> Result<(), Self::Error> {
        let area = area.intersection(&self.bounding_box());
        let [left, width, stride] = [
            area.top_left.x.unsigned_abs(),
            area.size.width,
            self.width.unsigned_abs(),
        ]
        .map(|n| n as usize);
        for y in area.rows() {
            let from = y.unsigned_abs() as usize * stride + left;
            if let Some(row) = self.pixels.get_mut(from..from + width) {
                row.fill(ink);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(before: Vec<f64>, after: Vec<f64>) -> BlockTimes {
        BlockTimes {
            chain: "paseo".into(),
            version_before: 1_001_002,
            version_after: 1_002_000,
            before,
            after,
        }
    }

    /// Makes blocks like a chain's: most in time, one in ten a slot late.
    fn blocks(count: usize, every: f64) -> Vec<f64> {
        (0..count)
            .map(|i| {
                if i * 7 % 10 == 3 {
                    every * 2.0
                } else {
                    every + (i % 5) as f64 * 0.01
                }
            })
            .collect()
    }

    fn with(mut gaps: Vec<f64>, at: usize, gap: f64) -> Vec<f64> {
        gaps[at] = gap;
        gaps
    }

    fn size(picture: &Picture) -> (u32, u32) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.png))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        (frame.width, frame.height)
    }

    #[test]
    fn any_figures_give_a_png_of_the_size_it_says() {
        let cases = [
            ("usual", times(blocks(60, 6.0), blocks(240, 6.0))),
            (
                "a-long-gap",
                times(
                    blocks(60, 6.0),
                    with(with(blocks(240, 6.0), 1, 62.0), 140, 31.0),
                ),
            ),
            ("faster", times(blocks(60, 12.0), blocks(120, 2.0))),
            ("few", times(blocks(5, 6.0), blocks(2, 6.0))),
            (
                "hours",
                times(
                    blocks(60, 6.0),
                    with(with(blocks(10, 6.0), 9, 7_200.0), 8, 7_000.0),
                ),
            ),
            ("only-before", times(blocks(60, 6.0), vec![])),
            ("one", times(vec![], vec![6.0])),
            ("none", times(vec![], vec![])),
            (
                "no-numbers",
                times(
                    vec![f64::NAN, -1.0, 6.0],
                    vec![f64::INFINITY, f64::NEG_INFINITY, 6.0],
                ),
            ),
            ("nothing-but-nan", times(vec![f64::NAN], vec![f64::NAN])),
            ("zeros", times(vec![0.0; 3], vec![0.0; 3])),
            (
                "extremes",
                times(vec![f64::MAX, f64::MIN_POSITIVE], vec![f64::MAX, 6.0]),
            ),
            ("too-many", times(blocks(1_000, 6.0), blocks(10_000, 6.0))),
        ];
        for (name, data) in cases {
            let picture = block_times(&data);
            assert_eq!(size(&picture), (picture.width, picture.height), "{name}");
            assert!(
                (600..=1_000).contains(&picture.width) && picture.height == 360,
                "{name}"
            );
            assert!(
                picture.png.len() < 15_000,
                "{name}: {} bytes",
                picture.png.len()
            );
            assert_eq!(picture, block_times(&data), "{name}: the same again");
            assert!(
                picture.alt.chars().count() <= 1_024 && picture.alt.contains("paseo"),
                "{name}: {}",
                picture.alt
            );
        }
    }

    #[test]
    fn other_figures_give_another_picture() {
        let one = block_times(&times(blocks(60, 6.0), blocks(240, 6.0)));
        let other = block_times(&times(blocks(60, 6.0), with(blocks(240, 6.0), 100, 18.0)));
        assert_ne!(one.png, other.png);
    }

    #[test]
    fn the_words_have_the_figures() {
        let alt = |before, after| block_times(&times(before, after)).alt;
        assert_eq!(
            alt(vec![6.0, 6.0], vec![6.0, 12.0, f64::NAN]),
            "Seconds between blocks on paseo. Before the new runtime (1001002): 2 blocks, 6.0 s on average. \
             With the new runtime (1002000): 2 blocks, 9.0 s on average. The longest gap was 12.0 s, with the new runtime."
        );
        assert_eq!(
            alt(vec![120.4], vec![]),
            "Seconds between blocks on paseo. Before the new runtime (1001002): 1 block, 120 s. \
             With the new runtime (1002000): no blocks. The longest gap was 120 s, before it."
        );
    }

    #[test]
    fn the_scale_is_made_for_usual_blocks() {
        let top = |before: &[f64], after: &[f64]| {
            Scale::of(&Figures::of(before), &Figures::of(after)).top
        };
        assert_eq!(top(&[6.0; 9], &[6.0, 6.0, 6.0, 60.0]), 18.0);
        assert_eq!(top(&[6.0; 9], &[6.0, 6.0, 6.0, 12.0]), 12.0);
        assert_eq!(
            top(&[12.0; 9], &[2.0; 90]),
            12.0,
            "what was usual before stays in the picture"
        );
        assert_eq!(top(&[], &[]), 6.0);
    }
}
