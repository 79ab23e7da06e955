//! Tree ensembles: combining the leaves' votes.
//!
//! Sums are computed in `f32`, in the order of the trees and starting from 0, and the base value is
//! added last, as onnxruntime 1.31 does on one thread. A target for which no tree votes is 0,
//! without its base value; a class without votes is its base value.

use crate::models::forest::Forest;
use crate::sync::prefetch::Parts;

/// How votes of several trees become one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// An ensemble that writes a score for each target or class.
#[derive(Clone, Debug)]
pub struct Trees {
    votes: Votes,
    aggregate: Aggregate,
    /// One base value per score, or none.
    base: Box<[f32]>,
    /// 1 for each score for which a tree has voted, else 0.
    voted: Box<[f32]>,
    trees: usize,
    /// Whether these flags follow the scores in the result.
    flags: bool,
    /// Whether a score for which no tree has voted still gets its base value.
    everywhere: bool,
}

/// What the leaves hold.
#[derive(Clone, Debug)]
pub enum Votes {
    /// One number per leaf: there is one score.
    One(Forest<f32, f32>),
    /// A range in a list of pairs of target and number.
    Many {
        forest: Forest<f32, (u32, u32)>,
        list: Box<[(u32, f32)]>,
    },
}

impl Aggregate {
    #[inline]
    fn vote(self, score: &mut f32, voted: &mut f32, vote: f32) {
        let first = *voted == 0.0;
        *voted = 1.0;
        match self {
            Aggregate::Sum | Aggregate::Average => *score += vote,
            Aggregate::Min if first || vote < *score => *score = vote,
            Aggregate::Max if first || vote > *score => *score = vote,
            Aggregate::Min | Aggregate::Max => {}
        }
    }
}

impl Trees {
    /// An ensemble of `trees` trees with `scores` scores.
    pub fn new(
        votes: Votes,
        [trees, scores]: [usize; 2],
        aggregate: Aggregate,
        base: Vec<f32>,
        [flags, everywhere]: [bool; 2],
    ) -> Self {
        Self {
            votes,
            aggregate,
            trees,
            base: base.into(),
            voted: vec![0.0; scores].into(),
            flags,
            everywhere,
        }
    }

    pub fn prefetch(&self, parts: &mut Parts) {
        match &self.votes {
            Votes::One(forest) => forest.prefetch(parts),
            Votes::Many { forest, list } => {
                forest.prefetch(parts);
                parts.begin(&**list);
            }
        }
    }

    #[inline(never)]
    pub fn run(&mut self, x: &[f32], to: &mut [f32]) {
        let trees = self.trees as f32;
        let (scores, rest) = to.split_at_mut(self.voted.len());
        scores.fill(0.0);
        self.voted.fill(0.0);
        let (aggregate, voted) = (self.aggregate, &mut self.voted);
        let features = x.iter().copied();
        match &mut self.votes {
            Votes::One(forest) if matches!(aggregate, Aggregate::Sum | Aggregate::Average) => {
                let mut sum = 0.0;
                forest.run(features, |vote| sum += vote);
                (scores[0], voted[0]) = (sum, 1.0);
            }
            Votes::One(forest) => forest.run(features, |vote| {
                aggregate.vote(&mut scores[0], &mut voted[0], vote);
            }),
            Votes::Many { forest, list } => forest.run(features, |(start, end)| {
                for &(target, vote) in &list[start as usize..end as usize] {
                    let target = target as usize;
                    aggregate.vote(&mut scores[target], &mut voted[target], vote);
                }
            }),
        }
        if aggregate == Aggregate::Average {
            scores.iter_mut().for_each(|score| *score /= trees);
        }
        for ((score, base), &voted) in scores.iter_mut().zip(&self.base).zip(voted.iter()) {
            if self.everywhere || voted != 0.0 {
                *score += base;
            }
        }
        if self.flags {
            rest[..voted.len()].copy_from_slice(voted);
        }
    }
}
