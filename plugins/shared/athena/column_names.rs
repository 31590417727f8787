//! Columns of one name: Athena allows them in a result, a JSON object does not.

use std::collections::HashSet;

use super::Column;

/// Gives the second column of a name `id` the name `id_2`, the third `id_3`. Returns the names that were repeated.
pub fn rename_repeated(columns: &mut [Column]) -> Vec<String> {
    let mut taken: HashSet<String> = columns.iter().map(|it| it.name.clone()).collect();
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    for column in columns {
        if seen.insert(column.name.clone()) {
            continue;
        }
        if !repeated.contains(&column.name) {
            repeated.push(column.name.clone());
        }
        let free =
            (2..=taken.len() + 2).map(|n| format!("{}_{n}", column.name)).find(|name| !taken.contains(name));
        column.name = free.expect("a number is always left");
        taken.insert(column.name.clone());
    }
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_numbered_beside_names_that_look_so() {
        let columns = |names: &[&str]| -> Vec<Column> {
            names.iter().map(|&name| Column { name: name.into(), kind: "varchar".into() }).collect()
        };
        let mut joined = columns(&["id", "id_2", "id", "n", "id", "n"]);
        assert_eq!(rename_repeated(&mut joined), ["id", "n"]);
        assert_eq!(joined, columns(&["id", "id_2", "id_3", "n", "id_4", "n_2"]));
        assert!(rename_repeated(&mut columns(&["id", "ID"])).is_empty());
    }
}
