mod finish;
mod object;
mod split;
