//! Parts of the JSON that no prediction uses. Their form is checked all the same: a key in them that
//! no version writes may change what the model predicts.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::error::object::Object;

/// A number or a flag.
pub(super) struct Scalar;

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Scalar;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("a number")
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar, E> {
                Ok(Scalar)
            }
        }

        reader.deserialize_any(Visit)
    }
}

/// A text, of which nothing is kept: reading by value takes the host's stack at each level.
pub(super) struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Text;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }

        reader.deserialize_str(Visit)
    }
}

/// A list of numbers or flags.
pub(super) struct Numbers;

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Numbers;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("a list of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                while list.next_element::<Scalar>()?.is_some() {}
                Ok(Numbers)
            }
        }

        reader.deserialize_any(Visit)
    }
}

/// Names of categories; since 3.1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Categories {
    #[serde(rename = "enc")]
    _features: Option<Vec<Object<Names>>>,
    #[serde(rename = "feature_segments")]
    _segments: Option<Numbers>,
    #[serde(rename = "sorted_idx")]
    _order: Option<Numbers>,
}

/// Those of a feature: letters and where each name begins, or numbers of a type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    #[serde(rename = "offsets")]
    _offsets: Option<Numbers>,
    #[serde(rename = "type")]
    _type: Option<Scalar>,
    #[serde(rename = "values")]
    _values: Option<Numbers>,
}

/// Objects of texts with these keys.
macro_rules! texts {
    ($($name:ident: $($key:literal $field:ident),+;)+) => {$(
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $(
                #[serde(rename = $key)]
                $field: Option<Text>,
            )+
        }
    )+};
}

// The parameters of objectives.
texts! {
    Aft: "aft_loss_distribution" _distribution, "aft_loss_distribution_scale" _scale;
    Expectile: "expectile_alpha" _alpha;
    Huber: "huber_slope" _slope;
    Poisson: "max_delta_step" _step;
    Quantile: "quantile_alpha" _alpha;
    Regression: "scale_pos_weight" _weight;
    Softmax: "num_class" _classes;
    Tweedie: "tweedie_variance_power" _power;
    OldRank: "fix_list_weight" _weight, "num_pairsample" _pairs;
    Rank: "lambdarank_bias_norm" _bias, "lambdarank_normalization" _normal,
        "lambdarank_num_pair_per_sample" _pairs, "lambdarank_pair_method" _method,
        "lambdarank_score_normalization" _score, "lambdarank_unbiased" _unbiased,
        "ndcg_exp_gain" _gain;
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FILE, refusal, with};
    use super::super::{Iterations, XgBoost};

    fn objective(param: &str) -> String {
        with(
            r#""reg:squarederror""#,
            &format!(r#""reg:squarederror", {param}"#),
        )
    }

    fn tree(list: &str) -> String {
        with(r#""split_type""#, &format!(r#"{list}, "split_type""#))
    }

    fn model(key: &str) -> String {
        with(r#""tree_info""#, &format!(r#"{key}, "tree_info""#))
    }

    #[test]
    fn what_versions_write_is_passed_over() {
        for file in [
            objective(r#""reg_loss_param": {"scale_pos_weight": "1"}"#),
            objective(r#""quantile_loss_param": {"quantile_alpha": "[3E-1]"}"#),
            objective(r#""softmax_multiclass_param": {"num_class": "0"}"#),
            tree(r#""base_weights": [0.5, -1, 2E-9], "id": 7, "parents": [2147483647, 0]"#),
            tree(r#""categories": [], "categories_nodes": [], "leaf_child_counts": [1]"#),
            model(r#""cats": {"enc": [], "feature_segments": [], "sorted_idx": []}"#),
            model(
                r#""cats": {"enc": [{"offsets": [0, 1], "values": [120]}, {"type": 15,
                "values": [1, 2]}], "feature_segments": [0, 2], "sorted_idx": [0, 1]}"#,
            ),
        ] {
            assert!(
                XgBoost::read(file.as_bytes(), Iterations::Saved).is_ok(),
                "{file}"
            );
        }
    }

    #[test]
    fn what_no_version_writes_is_refused_at_any_depth() {
        for (file, expected) in [
            (
                objective(r#""reg_loss_param": {"link": "exp"}"#),
                "\"link\" is not known",
            ),
            (
                objective(r#""reg_loss_param": {"scale_pos_weight": {"a": 1}}"#),
                "invalid type: object",
            ),
            (
                objective(r#""reg_loss_param": ["1"]"#),
                "expected an object",
            ),
            (
                objective(r#""lambdarank_param": {"a": "1"}"#),
                "\"a\" is not known",
            ),
            (
                tree(r#""base_weights": {"scale": 2}"#),
                "expected a list of numbers",
            ),
            (
                tree(r#""base_weights": [[1]]"#),
                "base_weights[0]: invalid type: list, expected a number",
            ),
            (tree(r#""id": {"a": 1}"#), "expected a number"),
            (model(r#""cats": {"extra": []}"#), "\"extra\" is not known"),
            (
                model(r#""cats": {"enc": [{"weights": [1]}]}"#),
                "\"weights\" is not known",
            ),
        ] {
            let error = refusal(&file);
            assert!(error.contains(expected), "{file}: {error}");
        }
    }

    #[test]
    fn a_list_is_not_taken_for_an_object() {
        let lists = [
            (
                r#"{"base_score": "[5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1"}"#,
                r#"["0.5", "1", "0", "2", "1"]"#,
            ),
            (
                r#"{"size_leaf_vector": "1", "num_deleted": "0"}"#,
                r#"["1", "0", "2", "5"]"#,
            ),
            (r#"{"name": "reg:squarederror"}"#, r#"["reg:squarederror"]"#),
            (
                r#""tree_info""#,
                r#""gbtree_model_param": ["1", "1", "0"], "tree_info""#,
            ),
        ];
        for (object, list) in lists {
            let error = refusal(&with(object, list));
            assert!(
                error.contains("invalid type: list, expected an object"),
                "{list}: {error}"
            );
        }
        assert!(refusal(&format!("[{FILE}]")).contains("expected an object"));
    }
}
