//! Which nodes the outputs need, and in which order.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::proto::{Graph, Port};
use super::wire::Span;
use crate::models::ModelError;

/// What produces a name.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    Input,
    Initializer(Span<'a>),
    Node(usize),
}

/// The nodes that the outputs need, each after those that it reads.
#[derive(Debug)]
pub struct Order<'a> {
    sources: HashMap<&'a str, Source<'a>>,
    wanted: HashSet<&'a str>,
    /// Inputs that are not initializers.
    pub inputs: Vec<Port<'a>>,
    pub nodes: Vec<usize>,
    pub outputs: Vec<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

impl<'a> Order<'a> {
    /// The order for these outputs, or for all outputs of the graph if none is named.
    pub fn new(graph: &Graph<'a>, chosen: &[String]) -> Result<Self, ModelError> {
        let mut sources = HashMap::new();
        let mut add = |name: &'a str, source| match sources.entry(name) {
            Entry::Occupied(_) => Err(ModelError(format!(
                "'{name}' is made twice; expected every name once"
            ))),
            Entry::Vacant(entry) => {
                entry.insert(source);
                Ok(())
            }
        };
        for &(name, tensor) in &graph.initializers {
            add(name, Source::Initializer(tensor))?;
        }
        let stored: HashSet<&str> = graph.initializers.iter().map(|&(name, _)| name).collect();
        let mut inputs = Vec::new();
        for port in &graph.inputs {
            // Old exporters also list initializers among the inputs.
            if !stored.contains(port.name) {
                add(port.name, Source::Input)?;
                inputs.push(port.clone());
            }
        }
        if inputs.is_empty() {
            return Err(ModelError::new("the graph has no inputs"));
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            for &name in node.outputs.iter().filter(|name| !name.is_empty()) {
                add(name, Source::Node(index))?;
            }
        }
        let outputs = choose(graph, chosen)?;
        let mut order = Self {
            sources,
            wanted: outputs.iter().copied().collect(),
            inputs,
            nodes: Vec::new(),
            outputs,
        };
        order.sort(graph)?;
        Ok(order)
    }

    /// What produces this name.
    pub fn source(&self, name: &str) -> Option<Source<'a>> {
        self.sources.get(name).copied()
    }

    /// Whether a needed node or an output of the model reads the name.
    pub fn wants(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// Depth first, with a stack of its own, because the file determines the depth.
    fn sort(&mut self, graph: &Graph<'a>) -> Result<(), ModelError> {
        let mut marks = vec![Mark::New; graph.nodes.len()];
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for name in self.outputs.clone() {
            match self.source(name) {
                None => {
                    return Err(ModelError(format!("nothing makes output '{name}'")));
                }
                Some(Source::Node(index)) if marks[index] == Mark::New => {
                    marks[index] = Mark::Open;
                    stack.push((index, 0));
                }
                Some(_) => {}
            }
            while let Some((index, next)) = stack.last_mut() {
                let node = &graph.nodes[*index];
                let Some(&name) = node.inputs.get(*next) else {
                    marks[*index] = Mark::Done;
                    self.nodes.push(*index);
                    stack.pop();
                    continue;
                };
                *next += 1;
                if name.is_empty() {
                    continue;
                }
                self.wanted.insert(name);
                match self.sources.get(name) {
                    None => {
                        return Err(ModelError(format!(
                            "node '{}' ({}) reads '{name}', which nothing makes; \
                             expected an input, an initializer or a node's output",
                            node.name, node.op
                        )));
                    }
                    Some(&Source::Node(index)) => match marks[index] {
                        Mark::New => {
                            marks[index] = Mark::Open;
                            stack.push((index, 0));
                        }
                        Mark::Open => {
                            return Err(ModelError(format!(
                                "'{name}' depends on itself, through node '{}' ({})",
                                node.name, node.op
                            )));
                        }
                        Mark::Done => {}
                    },
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn choose<'a>(graph: &Graph<'a>, chosen: &[String]) -> Result<Vec<&'a str>, ModelError> {
    let all: Vec<&str> = graph.outputs.iter().map(|port| port.name).collect();
    if all.is_empty() {
        return Err(ModelError::new("the graph has no outputs"));
    }
    let mut seen = HashSet::with_capacity(all.len());
    if let Some(name) = all.iter().find(|&&name| !seen.insert(name)) {
        return Err(ModelError(format!("output '{name}' is there twice")));
    }
    if chosen.is_empty() {
        return Ok(all);
    }
    let mut outputs = Vec::with_capacity(chosen.len());
    for name in chosen {
        match all.iter().find(|known| *known == name) {
            Some(known) if !outputs.contains(known) => outputs.push(*known),
            Some(_) => return Err(ModelError(format!("output '{name}' is chosen twice"))),
            None => {
                let more = if all.len() > 16 { ", ..." } else { "" };
                return Err(ModelError(format!(
                    "it has no output '{name}'; expected one of {}{more}",
                    all[..all.len().min(16)].join(", ")
                )));
            }
        }
    }
    Ok(outputs)
}
