//! Workgroups: where the results of their queries go by default.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ATHENA;
use super::AthenaSettings;
use crate::Fault;
use crate::catalogue::{Catalogue, Workgroup, now};
use crate::request::Page;

pub(super) const PRIMARY: &str = "primary";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(alias = "WorkGroup")]
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default, alias = "ConfigurationUpdates")]
    configuration: Value,
}

impl Workgroup {
    /// Where a query puts its result that asks for `wanted`.
    pub(super) fn output(&self, wanted: Option<String>) -> Option<String> {
        let own = self.output_location.clone();
        if self.enforced { own.or(wanted) } else { wanted.or(own) }
    }

    fn show(&self) -> Value {
        json!({
            "Name": self.name, "State": self.state, "Description": self.description, "CreationTime": self.creation_time,
            "Configuration": {
                "ResultConfiguration": { "OutputLocation": self.output_location },
                "EnforceWorkGroupConfiguration": self.enforced,
                "PublishCloudWatchMetricsEnabled": false,
                "EngineVersion": {
                    "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3",
                },
            },
        })
    }

    /// Refuses a query of a workgroup that is switched off.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.state == "DISABLED" {
            return Err(ATHENA.invalid(format!("WorkGroup {} is disabled.", self.name)));
        }
        Ok(())
    }

    fn change(&mut self, input: &Input) -> Result<(), Fault> {
        if let Some(other) = input.state.as_deref().filter(|it| !matches!(*it, "ENABLED" | "DISABLED")) {
            return Err(ATHENA.invalid(format!("`{other}` is no State: ENABLED, DISABLED")));
        }
        if !input.configuration["BytesScannedCutoffPerQuery"].is_null() {
            return Err(ATHENA.invalid(
                "the offline Athena follows no BytesScannedCutoffPerQuery: leave it out; what a query has scanned \
                 is in its Statistics",
            ));
        }
        self.description = input.description.clone().or(self.description.take());
        if let Some(state) = &input.state {
            self.state.clone_from(state);
        }
        let configuration = &input.configuration;
        for results in ["ResultConfiguration", "ResultConfigurationUpdates"] {
            if let Some(location) = configuration[results]["OutputLocation"].as_str() {
                self.output_location = Some(location.to_owned());
            }
            if configuration[results]["RemoveOutputLocation"] == true {
                self.output_location = None;
            }
        }
        self.enforced = configuration["EnforceWorkGroupConfiguration"].as_bool().unwrap_or(self.enforced);
        Ok(())
    }
}

pub(super) fn find(catalogue: &Catalogue, settings: &AthenaSettings, name: &str) -> Result<Workgroup, Fault> {
    let known = catalogue.read(|shelf| shelf.workgroups.get(name).cloned());
    match known {
        Some(group) => Ok(group),
        None if name == PRIMARY => Ok(primary(settings)),
        None => Err(ATHENA.invalid(format!("WorkGroup {name} is not found."))),
    }
}

fn primary(settings: &AthenaSettings) -> Workgroup {
    Workgroup {
        name: PRIMARY.into(),
        state: "ENABLED".into(),
        output_location: settings.output_location.clone(),
        ..Workgroup::default()
    }
}

pub(super) fn call(
    catalogue: &Catalogue,
    settings: &AthenaSettings,
    operation: &str,
    input: Value,
) -> Result<Value, Fault> {
    if operation == "ListWorkGroups" {
        let page: Page = ATHENA.read(input)?;
        let mut groups: Vec<Workgroup> = catalogue.read(|shelf| shelf.workgroups.values().cloned().collect());
        if groups.iter().all(|group| group.name != PRIMARY) {
            groups.push(primary(settings));
        }
        return ATHENA.cut(&page, "WorkGroups", groups, |group| group.show());
    }
    let input: Input = ATHENA.read(input)?;
    match operation {
        "GetWorkGroup" => Ok(json!({ "WorkGroup": find(catalogue, settings, &input.name)?.show() })),
        "CreateWorkGroup" => {
            if find(catalogue, settings, &input.name).is_ok() {
                return Err(ATHENA.invalid(format!("WorkGroup {} already exists", input.name)));
            }
            let mut group =
                Workgroup { name: input.name.clone(), state: "ENABLED".into(), ..Workgroup::default() };
            group.creation_time = now();
            group.change(&input)?;
            keep(catalogue, group)
        }
        "UpdateWorkGroup" => {
            let mut group = find(catalogue, settings, &input.name)?;
            group.change(&input)?;
            keep(catalogue, group)
        }
        _ => catalogue.change(|shelf| match shelf.workgroups.remove(&input.name) {
            Some(_) => Ok(json!({})),
            None => Err(ATHENA.invalid(format!("WorkGroup {} is not found.", input.name))),
        }),
    }
}

fn keep(catalogue: &Catalogue, group: Workgroup) -> Result<Value, Fault> {
    catalogue.change(|shelf| {
        shelf.workgroups.insert(group.name.clone(), group);
        Ok(json!({}))
    })
}
