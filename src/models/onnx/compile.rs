//! Compiles a graph into a plan.
//!
//! The nodes that the chosen outputs need are sorted so that each comes after those that it reads.
//! Each is lowered to steps over buffers of known size, for a batch of one sample. Whatever depends
//! on constants only is computed here.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::external::External;
use super::kernels::{Isa, LANES, Lanes, blocks, flat_mut};
use super::lower;
use super::order::{Order, Source};
use super::plan::{Plan, Region, Step};
use super::proto::{Model, Port};
use super::tensor::{self, Numbers};
use super::value::{Data, Elem, Labels, MAX_RANK, Value, size};
use super::{fuse, ops::Op};
use crate::models::parsed::Reading;
use crate::models::{ModelError, room};

/// Maximum number of numbers in all tensors together: 256 MiB.
const MAX_NUMBERS: usize = 64 << 20;

/// For how many numbers memory is requested at a time, and the bytes of each: an integer, and a
/// place in the buffer.
const GRANT: usize = 1 << 18;
const EACH: usize = 12;

/// Maximum number of multiplications, or of work that takes as long, in a run: some 20 milliseconds
/// if each waits for the one before, as in a product of two inputs.
const MAX_WORK: usize = 1 << 24;

/// Maximum number of values of all inputs together, and of all outputs together.
const MAX_PORTS: usize = 1 << 16;

/// The parts of a compiled model.
#[derive(Debug)]
pub struct Compiled {
    pub plan: Plan,
    /// The graph's inputs in their order.
    pub inputs: Vec<(String, Region)>,
    pub outputs: Vec<Output>,
    /// Why only a check file can tell what the model predicts.
    pub doubt: Option<String>,
}

/// An output of the graph.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub region: Region,
    /// What the numbers mean, if they are a classifier's labels.
    pub labels: Option<Labels>,
}

/// A step whose tensors have no place in the buffer yet.
#[derive(Debug)]
pub struct Draft {
    pub op: Op,
    pub from: Vec<usize>,
    pub to: usize,
}

/// A tensor that gets a place in the buffer.
#[derive(Debug)]
pub struct Slot {
    pub len: usize,
    pub constant: Option<Rc<Numbers>>,
}

/// The state of a compilation.
#[derive(Debug)]
pub struct Compiler {
    isa: Isa,
    /// Which values count if runtimes differ.
    pub reading: Reading,
    pub slots: Vec<Slot>,
    pub drafts: Vec<Draft>,
    numbers: usize,
    /// How many numbers memory was requested for.
    granted: usize,
    work: usize,
    doubt: Option<String>,
}

/// How a model is read.
#[derive(Clone, Copy)]
pub struct How<'a> {
    pub isa: Isa,
    /// Which values count if runtimes differ.
    pub reading: Reading,
    /// The files that hold its external tensors.
    pub external: &'a External,
}

/// Compiles a model with these outputs, or all outputs of the graph if none is named.
pub fn compile(model: &Model<'_>, chosen: &[String], how: How<'_>) -> Result<Compiled, ModelError> {
    let graph = &model.graph;
    let order = Order::new(graph, chosen)?;
    let mut compiler = Compiler {
        isa: how.isa,
        reading: how.reading,
        slots: Vec::new(),
        drafts: Vec::new(),
        numbers: 0,
        granted: GRANT,
        work: 0,
        doubt: None,
    };
    if let Some(doubt) = model.too_new() {
        compiler.doubt(format_args!("{doubt}"));
    }
    let mut values: HashMap<&str, Value> = HashMap::new();
    let mut inputs = Vec::new();
    let mut width = 0;
    for port in &order.inputs {
        let (shape, elem) = input(port)?;
        within(&mut width, &shape, "inputs")?;
        let slot = compiler.slot(&shape, None)?;
        inputs.push((port.name, slot));
        let data = Data::Slot(slot, elem);
        values.insert(port.name, Value { shape, data });
    }
    let opsets = lower::Opsets::new(&model.opsets)?;
    for &index in &order.nodes {
        let node = &graph.nodes[index];
        let named = |error: ModelError| {
            let name = if node.name.is_empty() {
                node.outputs.first().unwrap_or(&"").to_owned()
            } else {
                node.name
            };
            ModelError(format!("node '{name}' ({}): {error}", node.op))
        };
        let mut from = Vec::with_capacity(node.inputs.len());
        for &name in &node.inputs {
            if name.is_empty() {
                from.push(None);
                continue;
            }
            if !values.contains_key(name)
                && let Some(Source::Initializer(span)) = order.source(name)
            {
                let stored = Value::constant(tensor::tensor(span, how.external)?)?;
                compiler.count(stored.len(), 0)?;
                values.insert(name, stored);
            }
            let value = values.get(name).cloned();
            from.push(Some(value.ok_or_else(|| {
                named(ModelError(format!("its input '{name}' has no value")))
            })?));
        }
        let wanted: Vec<bool> = node.outputs.iter().map(|name| order.wants(name)).collect();
        lower::no_function(node, &model.functions).map_err(named)?;
        let made = lower::lower(&mut compiler, &opsets, node, &from, &wanted).map_err(named)?;
        for (name, value) in node.outputs.iter().zip(made) {
            if let Some(value) = value {
                values.insert(name, value);
            }
        }
    }
    let mut outputs = Vec::new();
    let mut width = 0;
    for &name in &order.outputs {
        if !values.contains_key(name)
            && let Some(Source::Initializer(span)) = order.source(name)
        {
            values.insert(name, Value::constant(tensor::tensor(span, how.external)?)?);
        }
        let value = values
            .get(name)
            .ok_or_else(|| ModelError(format!("output '{name}' has no value")))?;
        within(&mut width, &value.shape, "outputs")?;
        outputs.push((name, value.clone()));
    }
    compiler.finish(inputs, outputs)
}

impl Compiler {
    /// Notes why only a check file can tell what the model predicts. The first reason
    /// is enough.
    pub fn doubt(&mut self, why: fmt::Arguments<'_>) {
        self.doubt.get_or_insert_with(|| why.to_string());
    }

    /// Counts numbers and work against the limits.
    pub fn count(&mut self, numbers: usize, work: usize) -> Result<(), ModelError> {
        self.numbers = self.numbers.saturating_add(numbers);
        self.work = self.work.saturating_add(work);
        if self.numbers > MAX_NUMBERS {
            return Err(ModelError(format!(
                "its tensors have more than {MAX_NUMBERS} numbers (256 MiB) in all"
            )));
        }
        if self.numbers > self.granted {
            // Each number is both in a tensor and in the plan's buffer; some more are requested in
            // advance.
            let more = (self.numbers - self.granted).max(GRANT);
            room::for_numbers(more.saturating_mul(EACH))?;
            self.granted = self.granted.saturating_add(more);
        }
        if self.work > MAX_WORK {
            return Err(ModelError(format!(
                "a run would take more than {MAX_WORK} multiplications; \
                 expected a model for one sample at a time"
            )));
        }
        Ok(())
    }

    fn slot(
        &mut self,
        shape: &[usize],
        constant: Option<Rc<Numbers>>,
    ) -> Result<usize, ModelError> {
        let len = size(shape).unwrap_or(usize::MAX);
        if len == 0 {
            return Err(ModelError(format!(
                "a tensor of shape {shape:?} has no values"
            )));
        }
        self.count(len, 0)?;
        self.slots.push(Slot { len, constant });
        Ok(self.slots.len() - 1)
    }

    /// The buffer of a value that must consist of floats.
    pub fn floats(&mut self, value: &Value) -> Result<usize, ModelError> {
        match &value.data {
            Data::Slot(slot, Elem::F32) => Ok(*slot),
            Data::Const(numbers) if matches!(numbers.as_ref(), Numbers::F32(_)) => {
                self.slot(&value.shape, Some(numbers.clone()))
            }
            Data::Slot(..) | Data::Const(_) => {
                let hint = match value.elem_name() {
                    "double" => " (export the model with float inputs)",
                    _ => "",
                };
                Err(ModelError(format!(
                    "its input is {}; expected float{hint}",
                    value.elem_name()
                )))
            }
        }
    }

    /// Adds a step, or runs it now if all its inputs are constant.
    pub fn emit(
        &mut self,
        op: Op,
        from: Vec<usize>,
        shape: Vec<usize>,
        elem: Elem,
        work: usize,
    ) -> Result<Value, ModelError> {
        let len = size(&shape).unwrap_or(usize::MAX);
        self.count(0, work.saturating_add(len))?;
        let to = self.slot(&shape, None)?;
        let draft = Draft { op, from, to };
        let constant = draft
            .from
            .iter()
            .all(|&slot| self.slots[slot].constant.is_some());
        if constant && elem == Elem::F32 {
            let numbers = Rc::new(Numbers::F32(self.run_now(draft)?));
            self.slots[to].constant = Some(numbers.clone());
            return Ok(Value {
                shape,
                data: Data::Const(numbers),
            });
        }
        self.drafts.push(draft);
        Ok(Value {
            shape,
            data: Data::Slot(to, elem),
        })
    }

    fn run_now(&self, draft: Draft) -> Result<Vec<f32>, ModelError> {
        let mut layout = Layout::default();
        let mut place = |slot: usize| layout.place(&self.slots, slot);
        let from = draft.from.iter().map(|&slot| place(slot)).collect();
        let to = place(draft.to);
        let step = Step {
            op: draft.op,
            from,
            to,
        };
        layout.ask(to.len)?;
        let mut plan = Plan::new(self.isa, layout.buffer(&self.slots), vec![step]);
        plan.run();
        Ok(plan.numbers(to).to_vec())
    }

    fn finish(
        mut self,
        inputs: Vec<(&str, usize)>,
        outputs: Vec<(&str, Value)>,
    ) -> Result<Compiled, ModelError> {
        let mut ends = Vec::new();
        for (name, value) in outputs {
            let (slot, labels) = match &value.data {
                Data::Slot(slot, Elem::Label(labels)) => (*slot, Some(labels.as_ref().clone())),
                Data::Slot(_, Elem::F64) => {
                    return Err(ModelError(format!(
                        "output '{name}' is a double input as it came, which is rounded to float; \
                         expected float (export the model with float inputs)"
                    )));
                }
                Data::Slot(slot, _) => (*slot, None),
                Data::Const(_) => (self.floats(&value)?, None),
            };
            ends.push((name.to_owned(), slot, labels));
        }
        let kept: Vec<usize> = ends.iter().map(|&(_, slot, _)| slot).collect();
        fuse::fuse(&mut self.drafts, &self.slots, &kept);

        let mut layout = Layout::default();
        let slots = &self.slots;
        // Constants and inputs first, because a step's inputs lie before its result.
        for slot in self
            .drafts
            .iter()
            .flat_map(|draft| &draft.from)
            .chain(&kept)
        {
            if slots[*slot].constant.is_some() {
                layout.place(slots, *slot);
            }
        }
        let inputs = inputs
            .into_iter()
            .map(|(name, slot)| (name.to_owned(), layout.place(slots, slot)))
            .collect();
        let mut steps = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            steps.push(Step {
                op: draft.op,
                from: draft
                    .from
                    .iter()
                    .map(|&slot| layout.place(slots, slot))
                    .collect(),
                to: layout.place(slots, draft.to),
            });
        }
        let outputs = ends
            .into_iter()
            .map(|(name, slot, labels)| Output {
                name,
                region: layout.place(slots, slot),
                labels,
            })
            .collect();
        layout.ask(0)?;
        Ok(Compiled {
            plan: Plan::new(self.isa, layout.buffer(slots), steps),
            inputs,
            outputs,
            doubt: self.doubt,
        })
    }
}

/// Counts the values of inputs or outputs against the limit: each has a name or a factor of its
/// own.
pub fn within(width: &mut usize, shape: &[usize], what: &str) -> Result<(), ModelError> {
    let len = size(shape).unwrap_or(usize::MAX);
    *width = width.saturating_add(len);
    match *width <= MAX_PORTS {
        true => Ok(()),
        false => Err(ModelError(format!(
            "its {what} have more than {MAX_PORTS} values; expected fewer"
        ))),
    }
}

/// Shape, for a batch of one, and type of an input of the graph.
pub fn input(port: &Port<'_>) -> Result<(Vec<usize>, Elem), ModelError> {
    let name = port.name;
    let Some(tensor) = &port.tensor else {
        let what = port.other.unwrap_or("of no type");
        return Err(ModelError(format!(
            "input '{name}' is {what}, which is not supported; expected a tensor of float"
        )));
    };
    let elem = match tensor.elem {
        1 => Elem::F32,
        11 => Elem::F64,
        other => {
            return Err(ModelError(format!(
                "input '{name}' is {}; expected float",
                tensor::elem_name(other)
            )));
        }
    };
    let Some(dims) = tensor.dims.as_deref().filter(|dims| !dims.is_empty()) else {
        return Err(ModelError(format!(
            "input '{name}' has no shape; expected [batch, number of factors]"
        )));
    };
    if dims.len() > MAX_RANK {
        return Err(ModelError(format!(
            "input '{name}' has more than {MAX_RANK} dimensions"
        )));
    }
    let mut shape = Vec::with_capacity(dims.len());
    for (index, dim) in dims.iter().enumerate() {
        shape.push(match (dim, index) {
            // The batch dimension, if there is one, comes first.
            (None | Some(..=0), 0) => 1,
            (Some(dim @ 1..), _) => usize::try_from(*dim).unwrap_or(usize::MAX),
            _ => {
                return Err(ModelError(format!(
                    "input '{name}': dimension {index} is open; \
                     expected [batch, number of factors] with a number"
                )));
            }
        });
    }
    if shape.len() > 1 && shape[0] != 1 {
        return Err(ModelError(format!(
            "input '{name}' has a batch of {}; expected 1 or an open one",
            shape[0]
        )));
    }
    Ok((shape, elem))
}

/// Places in the buffer, assigned one after the other.
#[derive(Default)]
struct Layout {
    places: HashMap<usize, Region>,
    end: usize,
}

impl Layout {
    fn place(&mut self, slots: &[Slot], slot: usize) -> Region {
        let len = slots[slot].len;
        *self.places.entry(slot).or_insert_with(|| {
            let start = self.end;
            self.end += blocks(len);
            Region { start, len }
        })
    }

    /// Requests memory for the buffer, and for `more` further numbers.
    fn ask(&self, more: usize) -> Result<(), ModelError> {
        let buffer = self.end.saturating_mul(size_of::<Lanes>());
        room::for_numbers(buffer.saturating_add(more * size_of::<f32>()))
    }

    /// The buffer, with the constants filled in.
    fn buffer(&self, slots: &[Slot]) -> Box<[Lanes]> {
        let mut buffer = vec![Lanes([0.0; LANES]); self.end];
        for (&slot, region) in &self.places {
            if let Some(Numbers::F32(numbers)) = slots[slot].constant.as_deref() {
                flat_mut(&mut buffer[region.start..])[..region.len].copy_from_slice(numbers);
            }
        }
        buffer.into()
    }
}
